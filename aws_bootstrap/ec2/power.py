"""Stop, start and name instances, and wait until EC2 has done it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..errors import AwsError, BootstrapError, CapacityError
from ..models import Instance, StateChange
from ..retry import poll
from .instances import ENDED, UNKNOWN, get_address, get_instances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import InstanceStateChangeTypeDef

_NO_CAPACITY = "InsufficientInstanceCapacity"
#: For so many seconds EC2 may go on reporting the state from before a request.
_OLD_STATE_SECONDS = 20.0


def stop_instance(ec2: EC2Client, instance_id: str) -> StateChange:
    """Request that EC2 stop the instance; return its state change. `wait_stopped` waits for the end of it."""
    with translate_aws_errors():
        reply = ec2.stop_instances(InstanceIds=[instance_id])
    return _change_of(instance_id, reply.get("StoppingInstances", []))


def start_instance(ec2: EC2Client, instance_id: str) -> StateChange:
    """Request that EC2 start the stopped instance; return its state change. `wait_started` waits until it runs."""
    with translate_aws_errors():
        reply = ec2.start_instances(InstanceIds=[instance_id])
    return _change_of(instance_id, reply.get("StartingInstances", []))


def _change_of(instance_id: str, changes: Sequence[InstanceStateChangeTypeDef]) -> StateChange:
    """Return the instance's state change of a reply. AwsError with an unknown outcome if the reply lacks it."""
    for raw in changes:
        if raw.get("InstanceId") == instance_id and "PreviousState" in raw and "CurrentState" in raw:
            return StateChange(instance_id, raw["PreviousState"]["Name"], raw["CurrentState"]["Name"])
    error = AwsError(f"EC2 did not report the state of {instance_id}.", aws_code="")
    error.outcome_known = False
    raise error


def wait_stopped(ec2: EC2Client, instance_id: str, *, timeout: float = 600.0, every: float = 1.0) -> Instance:
    """Return the instance once it is stopped. BootstrapError if it ends instead, or `instance-timeout`.

    An instance with much memory to write, or with a file system that hangs, takes minutes.
    """

    def check() -> Instance | None:
        instance = _find(ec2, instance_id)
        if instance is None or instance.state in ENDED:
            raise _has_ended(instance_id)
        if instance.state == "stopped":
            return instance
        return None

    stopped = poll(check, timeout=timeout, every=every)
    if stopped is None:
        raise BootstrapError(f"{instance_id} is not stopped after {timeout:.0f} s.", code="instance-timeout")
    return stopped


def wait_terminated(ec2: EC2Client, instance_ids: Sequence[str], *, timeout: float = 900.0, every: float = 1.0) -> None:
    """Return once all of the instances are terminated. BootstrapError `instance-timeout` if that takes too long."""

    def check() -> bool | None:
        states = {instance.state for instance in get_instances(ec2, instance_ids)}
        return states <= {"terminated"} or None

    if not poll(check, timeout=timeout, every=every):
        names = ", ".join(instance_ids)
        raise BootstrapError(f"{names} are not terminated after {timeout:.0f} s.", code="instance-timeout")


def wait_started(ec2: EC2Client, instance_id: str, *, timeout: float = 300.0, every: float = 1.0) -> Instance:
    """Return the instance once it runs and has a public address.

    CapacityError if EC2 has no capacity for it, BootstrapError if it stops again, ends, or gets no address.
    """
    began = time.monotonic()
    running_since: list[float] = []

    def check() -> Instance | None:
        instance = _find(ec2, instance_id)
        if instance is None or instance.state in ENDED:
            raise _has_ended(instance_id)
        if instance.state in ("stopped", "stopping"):
            _check_may_start(instance, time.monotonic() - began)
        if instance.state != "running":
            return None
        running_since.append(time.monotonic())
        is_late = running_since[-1] - running_since[0] > _OLD_STATE_SECONDS
        if instance.public_ip or is_late:
            return instance
        return None

    running = poll(check, timeout=timeout, every=every)
    if running is None:
        raise BootstrapError(f"{instance_id} is not running after {timeout:.0f} s.", code="instance-timeout")
    get_address(running)
    return running


def _check_may_start(instance: Instance, seconds: float) -> None:
    """Raise the error of a start that failed: with EC2's reason at once, else when it is stopped after so long."""
    if _NO_CAPACITY in f"{instance.state_reason_code} {instance.state_reason}":
        raise CapacityError(f"EC2 has no capacity for {instance.instance_id} now.", aws_code=_NO_CAPACITY)
    if seconds > _OLD_STATE_SECONDS:
        reason = instance.state_reason or "no reason given"
        raise BootstrapError(f"{instance.instance_id} did not start: {reason}", code="instance-stopped")


def name_instance(ec2: EC2Client, instance_id: str, name: str) -> None:
    """Write the tag Name of an instance."""
    with translate_aws_errors():
        ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "Name", "Value": name}])


def find_in_state(ec2: EC2Client, instance_id: str, *states: str) -> StateChange | None:
    """Return the instance's state as a change once it is one of these; None before."""
    instance = _find(ec2, instance_id)
    if instance is None or instance.state not in states:
        return None
    return StateChange(instance_id, UNKNOWN, instance.state)


def _find(ec2: EC2Client, instance_id: str) -> Instance | None:
    """Return the instance; None if EC2 no longer has it."""
    for instance in get_instances(ec2, [instance_id]):
        return instance
    return None


def _has_ended(instance_id: str) -> BootstrapError:
    return BootstrapError(f"{instance_id} was terminated meanwhile.", code="instance-ended")
