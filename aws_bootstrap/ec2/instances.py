"""Instances: one safe way to start some, and ways to find, await and terminate those that this tool created."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..aws import translate_aws_errors
from ..config import TAG_CLUSTER, TAG_DEADLINE, TAG_IDLE_TIMEOUT, TAG_OWNER
from ..errors import THROTTLING_CODES, AwsError, BootstrapError, TransientError
from ..invocation import PROFILE, PROGRAM
from ..models import Instance, StateChange
from ..models.facts import InstanceState, Market
from ..retry import backoff
from . import tags
from .requests import InstanceRequest, run_parameters

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import (
        FilterTypeDef,
        InstanceStateChangeTypeDef,
        InstanceTypeDef,
        ReservationTypeDef,
        RunInstancesRequestTypeDef,
    )

ALIVE: tuple[InstanceState, ...] = ("pending", "running", "stopping", "stopped", "shutting-down")
ENDED: tuple[InstanceState, ...] = ("shutting-down", "terminated")
#: EC2 is eventually consistent: what was created a second ago may not be found yet.
_NOT_YET_SEEN = ("InvalidKeyPair.NotFound", "InvalidGroup.NotFound", "InvalidPlacementGroup.Unknown")
#: In place of a state or type that EC2's reply lacks.
UNKNOWN: Final = "unknown"
_ATTEMPTS = 5
_REASON_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def find_instances(ec2: EC2Client, *, terminated: bool = False) -> list[Instance]:
    """Return this tool's instances in the client's region, oldest first, without those that are terminated.

    With `terminated` also those, for as long as EC2 reports them.
    """
    filters: list[FilterTypeDef] = [tags.CREATED_BY_FILTER]
    if not terminated:
        filters.append({"Name": "instance-state-name", "Values": list(ALIVE)})
    return sorted(_filtered(ec2, filters), key=_age)


def _age(instance: Instance) -> datetime:
    """Return what to sort by: when it was launched; one without a launch time comes first."""
    return instance.launch_time or datetime.min.replace(tzinfo=UTC)


def find_ended(ec2: EC2Client, since: datetime) -> list[Instance]:
    """Return this tool's instances that are shutting down, or that EC2 reports as terminated since then.

    An instance without the time of its end, as after some interruptions, counts as ended long ago.
    """
    filters: list[FilterTypeDef] = [tags.CREATED_BY_FILTER, {"Name": "instance-state-name", "Values": list(ENDED)}]
    ended: list[Instance] = []
    for instance in _filtered(ec2, filters):
        if instance.state == "shutting-down" or (instance.ended_at and instance.ended_at >= since):
            ended.append(instance)
    return ended


def _state_change_time(raw: InstanceTypeDef) -> datetime | None:
    """Return when the instance changed to its state, as in `User initiated (2026-01-15 10:30:00 GMT)`; None if unknown.

    The reason is text for people, so nothing may depend on it but what the user is advised to do.
    """
    found = _REASON_TIME.search(raw.get("StateTransitionReason", ""))
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def get_instances(ec2: EC2Client, instance_ids: Sequence[str]) -> list[Instance]:
    """Return those of the instances that this tool created, whatever their state; unknown ids are left out."""
    return _filtered(ec2, [tags.CREATED_BY_FILTER, {"Name": "instance-id", "Values": list(instance_ids)}])


def find_named(ec2: EC2Client, name: str) -> list[Instance]:
    """Return this tool's instances with that Name tag that are not terminated, oldest first."""
    filters: list[FilterTypeDef] = [
        tags.CREATED_BY_FILTER,
        {"Name": "tag:Name", "Values": [name]},
        {"Name": "instance-state-name", "Values": list(ALIVE)},
    ]
    return sorted(_filtered(ec2, filters), key=_age)


def find_cluster(ec2: EC2Client, cluster_id: str) -> list[Instance]:
    """Return the nodes of a cluster in the client's region that are not terminated, by rank."""
    filters: list[FilterTypeDef] = [
        tags.CREATED_BY_FILTER,
        {"Name": f"tag:{TAG_CLUSTER}", "Values": [cluster_id]},
        {"Name": "instance-state-name", "Values": list(ALIVE)},
    ]
    return sorted(_filtered(ec2, filters), key=_rank)


def _rank(instance: Instance) -> tuple[int, datetime]:
    """Return what to sort nodes by."""
    return instance.rank or 0, _age(instance)


def find_by_token(ec2: EC2Client, client_token: str) -> list[Instance]:
    """Return the instances that a RunInstances with this token started, in the order of their launch indexes."""
    started = _filtered(ec2, [{"Name": "client-token", "Values": [client_token]}])
    return sorted(started, key=_launch_index)


def _launch_index(instance: Instance) -> int:
    """Return what to sort the instances of one launch by."""
    return instance.launch_index


def start_instances(
    ec2_once: EC2Client, request: InstanceRequest, count: int = 1, *, sleep: Callable[[float], None] = time.sleep
) -> list[Instance]:
    """Start so many instances, or none; return them. `ec2_once` must be a client without SDK retries.

    A request that names a `least` number may start fewer.

    Throttled requests and lost answers are retried here, with the same client token, so that nothing can start twice.
    """
    parameters = run_parameters(request, count)
    waits = backoff(0.5, 8.0)
    may_have_started = False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _run_instances(ec2_once, parameters)
        except AwsError as exc:
            again = isinstance(exc, TransientError) or exc.aws_code in _NOT_YET_SEEN
            if may_have_started and not again:
                # A refusal is about the last request alone: an earlier one may have started the instances.
                started = _started_by(ec2_once, request.client_token)
                if started:
                    return started
            if not again or attempt == _ATTEMPTS:
                _add_region(exc, ec2_once.meta.region_name)
                raise
            may_have_started = may_have_started or _may_have_started(exc)
        sleep(next(waits))
    raise AssertionError("unreachable: the last attempt returns or raises")


@translate_aws_errors()
def _run_instances(ec2_once: EC2Client, parameters: RunInstancesRequestTypeDef) -> list[Instance]:
    """Send one RunInstances; return what it started."""
    reply = ec2_once.run_instances(**parameters)
    region = ec2_once.meta.region_name
    # A reply without an instance cannot be read: what was started is looked up.
    first, *others = reply["Instances"]
    started = [_instance(raw, region) for raw in (first, *others)]
    return sorted(started, key=_launch_index)


def _add_region(error: AwsError, region: str) -> None:
    """Add the command that creates a missing default subnet. It must be created in the region of the launch."""
    if error.code == "no-default-vpc":
        command = f"aws ec2 create-default-subnet{PROFILE} --region {region} --availability-zone ZONE"
        error.add_details(hint=f"Name a public subnet with --subnet-id, or create a default subnet: {command}")


def _may_have_started(error: AwsError) -> bool:
    """Return whether the failed request may have started an instance: no answer came, or EC2 itself failed."""
    is_throttled = error.aws_code in THROTTLING_CODES
    failed_within = isinstance(error, TransientError) and not is_throttled
    return failed_within or not error.outcome_known


def _started_by(ec2: EC2Client, client_token: str) -> list[Instance]:
    """Return the instances that a request whose answer was lost has started.

    AwsError with an unknown outcome if EC2 does not answer: what the request did is then not known.
    """
    try:
        return find_by_token(ec2, client_token)
    except AwsError as exc:
        exc.outcome_known = False
        raise


def get_address(instance: Instance) -> str:
    """Return the instance's public address. BootstrapError `no-public-ip` if it has none: ssh cannot reach it."""
    if instance.public_ip:
        return instance.public_ip
    if instance.state != "running":
        raise BootstrapError(
            f"{instance.instance_id} is {instance.state} and has no public address.",
            hint=f"Show its state: {PROGRAM} status",
            code="no-public-ip",
        )
    raise BootstrapError(
        f"{instance.instance_id} runs without a public address.",
        hint="Name a subnet with a route to an internet gateway: --subnet-id SUBNET",
        code="no-public-ip",
    )


def terminate_instances(ec2: EC2Client, instance_ids: Sequence[str]) -> list[StateChange]:
    """Terminate the instances; return their state changes. AwsError with an unknown outcome if EC2 omits one."""
    with translate_aws_errors():
        reply = ec2.terminate_instances(InstanceIds=list(instance_ids))
    reported: list[InstanceStateChangeTypeDef] = []
    for raw in reply.get("TerminatingInstances", []):
        if "PreviousState" in raw and "CurrentState" in raw:
            reported.append(raw)
    reported_ids = {raw["InstanceId"] for raw in reported}
    unreported = sorted(set(instance_ids) - reported_ids)
    if unreported:
        error = AwsError(f"EC2 did not report the state of {', '.join(unreported)}.", aws_code="")
        error.outcome_known = False
        raise error
    return [_state_change(raw) for raw in reported]


def _state_change(raw: InstanceStateChangeTypeDef) -> StateChange:
    """Return the state change of a reply."""
    return StateChange(raw["InstanceId"], raw["PreviousState"]["Name"], raw["CurrentState"]["Name"])


@translate_aws_errors()
def get_by_ids(ec2: EC2Client, instance_ids: Sequence[str]) -> list[Instance]:
    """Return the instances of these ids. AwsError `not-found` if EC2 does not know one."""
    found: list[Instance] = []
    for page in ec2.get_paginator("describe_instances").paginate(InstanceIds=list(instance_ids)):
        found += _described(page["Reservations"], ec2.meta.region_name)
    return found


@translate_aws_errors()
def _filtered(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Instance]:
    """Return the instances that DescribeInstances finds by these filters."""
    found: list[Instance] = []
    for page in ec2.get_paginator("describe_instances").paginate(Filters=filters):
        found += _described(page["Reservations"], ec2.meta.region_name)
    return found


def _described(reservations: Iterable[ReservationTypeDef], region: str) -> list[Instance]:
    """Return the instances of these reservations."""
    found: list[Instance] = []
    for reservation in reservations:
        for raw in reservation["Instances"]:
            found.append(_instance(raw, region))
    return found


def _instance(raw: InstanceTypeDef, region: str) -> Instance:
    """Return the instance of a reply.

    All but its id may be missing: a box of which little is known must still be shown.
    """
    lifecycle: Market = "on-demand"
    if raw.get("InstanceLifecycle") == "spot":
        lifecycle = "spot"
    known_tags = tags.values(raw.get("Tags", []))
    state: InstanceState = raw.get("State", {}).get("Name", UNKNOWN)
    reason = raw.get("StateReason", {})
    return Instance(
        instance_id=raw["InstanceId"],
        region=region,
        state=state,
        instance_type=raw.get("InstanceType", UNKNOWN),
        lifecycle=lifecycle,
        availability_zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
        launch_time=raw.get("LaunchTime"),
        public_ip=raw.get("PublicIpAddress") or None,
        state_reason=reason.get("Message"),
        state_reason_code=reason.get("Code") or None,
        ended_at=_state_change_time(raw) if state in ENDED else None,
        spot_request_id=raw.get("SpotInstanceRequestId") or None,
        image_id=raw.get("ImageId", ""),
        group_ids=_group_ids(raw),
        subnet_id=raw.get("SubnetId", ""),
        vpc_id=raw.get("VpcId", ""),
        owner=known_tags.get(TAG_OWNER),
        deadline=tags.time(known_tags.get(TAG_DEADLINE)),
        idle_timeout=tags.whole_number(known_tags.get(TAG_IDLE_TIMEOUT)),
        settings=tags.settings(known_tags),
        private_ip=raw.get("PrivateIpAddress") or None,
        cluster=known_tags.get(TAG_CLUSTER),
        rank=tags.rank(known_tags, raw.get("AmiLaunchIndex", 0)),
        ranks_of_call=tags.ranks_of_call(known_tags),
        launch_index=raw.get("AmiLaunchIndex", 0),
    )


def _group_ids(raw: InstanceTypeDef) -> tuple[str, ...]:
    """Return the ids of the instance's security groups."""
    found: list[str] = []
    for group in raw.get("SecurityGroups", []):
        if "GroupId" in group:
            found.append(group["GroupId"])
    return tuple(found)


@translate_aws_errors(reading=False)
def tag_limits(ec2: EC2Client, instance_id: str, deadline: datetime | None, idle_timeout: int | None) -> None:
    """Write the limits of an instance into its tags. None removes one."""
    present: dict[str, str] = {}
    if deadline:
        present[TAG_DEADLINE] = deadline.isoformat(timespec="seconds")
    if idle_timeout:
        present[TAG_IDLE_TIMEOUT] = str(idle_timeout)
    missing = [key for key in (TAG_DEADLINE, TAG_IDLE_TIMEOUT) if key not in present]
    if present:
        ec2.create_tags(Resources=[instance_id], Tags=tags.as_list(present))
    if missing:
        ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": key} for key in missing])
