"""Instances: one safe way to start one, and ways to find, await and end ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..aws import explained, pages
from ..errors import THROTTLING_CODES, AwsError, BootstrapError, TransientError
from ..invocation import PROGRAM
from ..models import Instance, StateChange
from ..retry import backoff, poll
from . import tags
from .requests import InstanceRequest, run_parameters

ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
ENDED = ("shutting-down", "terminated")
_NOT_YET_SEEN = ("InvalidKeyPair.NotFound", "InvalidGroup.NotFound")
"""EC2 is eventually consistent: what was made a second ago may not be found yet."""
UNKNOWN = "unknown"
"""In place of a state or type of which EC2's reply does not tell."""
_ATTEMPTS = 5


def find_instances(ec2: Any) -> list[Instance]:
    """Return our instances in the client's region that are not terminated, oldest first."""
    filters = [tags.OURS, {"Name": "instance-state-name", "Values": list(ALIVE)}]
    found = _described(ec2, Filters=filters)
    return sorted(found, key=_age)


def _age(instance: Instance) -> datetime:
    """Return what to sort by: when it was launched; one of which EC2 does not say comes first."""
    return instance.launch_time or datetime.min.replace(tzinfo=UTC)


def get_instances(ec2: Any, instance_ids: Sequence[str]) -> list[Instance]:
    """Return those of the instances that are ours, whatever their state; unknown ids are left out."""
    filters = [tags.OURS, {"Name": "instance-id", "Values": list(instance_ids)}]
    return _described(ec2, Filters=filters)


def find_by_token(ec2: Any, client_token: str) -> list[Instance]:
    """Return the instances that a RunInstances with this token started."""
    filters = [{"Name": "client-token", "Values": [client_token]}]
    return _described(ec2, Filters=filters)


def start_instances(
    ec2_once: Any, request: InstanceRequest, count: int = 1, *, sleep: Callable[[float], None] = time.sleep
) -> list[Instance]:
    """Start so many instances, or none; return them. `ec2_once` must be a client without SDK retries.

    Throttling and lost answers are tried again here, with the same client token, so that nothing can start twice.
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
                raise
            may_have_started = may_have_started or _may_have_started(exc)
        sleep(next(waits))
    raise AssertionError("unreachable: the last attempt returns or raises")


@explained()
def _run_instances(ec2_once: Any, parameters: dict[str, Any]) -> list[Instance]:
    """Send one RunInstances; return what it started."""
    reply = ec2_once.run_instances(**parameters)
    region = ec2_once.meta.region_name
    # An answer without an instance is one that cannot be read: what was started is looked up.
    first, *others = reply["Instances"]
    return [_instance(raw, region) for raw in (first, *others)]


def _may_have_started(error: AwsError) -> bool:
    """Return whether the request that failed may have started an instance: no answer came, or EC2 failed within."""
    is_throttled = error.aws_code in THROTTLING_CODES
    failed_within = isinstance(error, TransientError) and not is_throttled
    return failed_within or not error.answered


def _started_by(ec2: Any, client_token: str) -> list[Instance]:
    """Return the instances that a request whose answer was lost has started.

    AwsError, not answered, where EC2 cannot be asked: what the request did is then not known.
    """
    try:
        return find_by_token(ec2, client_token)
    except AwsError as exc:
        exc.answered = False
        raise


def wait_running(
    ec2: Any, instance_id: str, *, timeout: float = 300.0, address_within: float = 20.0, every: float = 1.0
) -> Instance:
    """Return the instance, running and with its public address. BootstrapError if it ends instead, or gets no address.

    Replies that do not tell the state are put up with for `address_within` seconds, then `unexpected-reply` is raised.
    """
    running_since: list[float] = []
    unknown_since: list[float] = []

    def check() -> Instance | None:
        instance = _seen(ec2, instance_id)
        if instance is None or instance.state == "pending":
            return None
        if instance.state == UNKNOWN:
            now = time.monotonic()
            unknown_since.append(now)
            if now - unknown_since[0] > address_within:
                raise BootstrapError(f"EC2 does not tell the state of {instance_id}.", code="unexpected-reply")
            return None
        if instance.state != "running":
            raise _ended_early(instance)
        running_since.append(time.monotonic())
        late = time.monotonic() - running_since[0] > address_within
        if instance.public_ip or late:
            return instance
        return None

    instance = poll(check, timeout=timeout, every=every)
    if instance is None:
        raise BootstrapError(f"{instance_id} is not running after {timeout:.0f} s.", code="instance-timeout")
    get_address(instance)
    return instance


def get_address(instance: Instance) -> str:
    """Return the instance's public address. BootstrapError `no-public-ip` if it has none: ssh cannot reach it."""
    if instance.public_ip:
        return instance.public_ip
    if instance.state != "running":
        raise BootstrapError(
            f"{instance.instance_id} is {instance.state} and has no public address.",
            hint=f"See its state: {PROGRAM} status",
            code="no-public-ip",
        )
    raise BootstrapError(
        f"{instance.instance_id} runs without a public address.",
        hint="Name a subnet with a route to an internet gateway: --subnet-id",
        code="no-public-ip",
    )


def _ended_early(instance: Instance) -> BootstrapError:
    """Return the error for an instance that has ended or stopped before it ran."""
    reason = instance.state_reason or "no reason given"
    what = f"{instance.instance_id} is {instance.state} instead of running: {reason}"
    hint = "Launch again; if it happens again, try another --instance-type or --region."
    if instance.state in ENDED:
        return BootstrapError(what, hint=hint, code="instance-ended")
    return BootstrapError(what, hint=hint, code="instance-stopped")


def terminate_instances(ec2: Any, instance_ids: Sequence[str]) -> list[StateChange]:
    """End the instances; return what EC2 says of each. AwsError, not answered, where it says nothing of one."""
    with explained():
        reply = ec2.terminate_instances(InstanceIds=list(instance_ids))
    reported: list[dict[str, Any]] = []
    for raw in reply.get("TerminatingInstances", []):
        if "PreviousState" in raw and "CurrentState" in raw:
            reported.append(raw)
    reported_ids = {raw["InstanceId"] for raw in reported}
    unreported = sorted(set(instance_ids) - reported_ids)
    if unreported:
        error = AwsError(f"EC2 did not say what became of {', '.join(unreported)}.", aws_code="")
        error.answered = False
        raise error
    return [_state_change(raw) for raw in reported]


def _state_change(raw: dict[str, Any]) -> StateChange:
    """Return the state change of a reply."""
    return StateChange(raw["InstanceId"], raw["PreviousState"]["Name"], raw["CurrentState"]["Name"])


def _seen(ec2: Any, instance_id: str) -> Instance | None:
    """Return the instance, or None while EC2 does not know it yet."""
    try:
        found = _described(ec2, InstanceIds=[instance_id])
    except AwsError as exc:
        if exc.aws_code == "InvalidInstanceID.NotFound":
            return None
        raise
    if not found:
        return None
    return found[0]


@explained()
def _described(ec2: Any, **params: Any) -> list[Instance]:
    """Return the instances that DescribeInstances answers with."""
    region = ec2.meta.region_name
    found: list[Instance] = []
    for reservation in pages(ec2, "describe_instances", "Reservations", **params):
        for raw in reservation["Instances"]:
            found.append(_instance(raw, region))
    return found


def _instance(raw: dict[str, Any], region: str) -> Instance:
    """Return the instance of a reply.

    All but its id may be missing: a box of which little is said must still be shown.
    """
    lifecycle = "on-demand"
    if raw.get("InstanceLifecycle") == "spot":
        lifecycle = "spot"
    group_ids: list[str] = []
    for group in raw.get("SecurityGroups", []):
        if "GroupId" in group:
            group_ids.append(group["GroupId"])
    return Instance(
        instance_id=raw["InstanceId"],
        region=region,
        state=raw.get("State", {}).get("Name", UNKNOWN),
        instance_type=raw.get("InstanceType", UNKNOWN),
        lifecycle=lifecycle,
        availability_zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
        launch_time=raw.get("LaunchTime"),
        public_ip=raw.get("PublicIpAddress") or None,
        state_reason=raw.get("StateReason", {}).get("Message"),
        image_id=raw.get("ImageId", ""),
        group_ids=tuple(group_ids),
    )
