"""Wait until instances that were started run and can be reached."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import AwsError, BootstrapError
from ..invocation import PROFILE
from ..models import Instance
from ..retry import poll
from .instances import ENDED, UNKNOWN, get_address, get_by_ids

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

#: State reasons of an instance whose encrypted disk EC2 may not open. Those of a client error are general,
#: and seldom about anything else.
_KEY_REFUSED = ("Client.InternalError", "Client error on launch", "InvalidKMSKey")


def wait_running(
    ec2: EC2Client,
    instance_ids: Sequence[str],
    *,
    timeout: float = 300.0,
    address_within: float = 20.0,
    every: float = 1.0,
) -> list[Instance]:
    """Return the instances, in this order, once all run and have a public address. One call looks at all of them.

    BootstrapError if one ends instead, or gets no address. Replies without a state are tolerated for `address_within`
    seconds, then `unexpected-reply` is raised.
    """
    watch = _Watch(address_within)

    def check() -> list[Instance] | None:
        found = _seen(ec2, instance_ids)
        are_ready = [watch.is_ready(instance) for instance in found]
        if len(found) < len(instance_ids) or not all(are_ready):
            return None
        return found

    running = poll(check, timeout=timeout, every=every)
    if running is None:
        waiting = [instance_id for instance_id in instance_ids if instance_id not in watch.ready]
        names = ", ".join(waiting or instance_ids)
        verb = "is" if len(waiting) == 1 else "are"
        raise BootstrapError(f"{names} {verb} not running after {timeout:.0f} s.", code="instance-timeout")
    for instance in running:
        get_address(instance)
    by_id = {instance.instance_id: instance for instance in running}
    return [by_id[instance_id] for instance_id in instance_ids]


class _Watch:
    """What was seen of instances so far, and since when."""

    def __init__(self, address_within: float) -> None:
        #: The ids of those that run and have an address, or should have one by now.
        self.ready: set[str] = set()
        self._address_within = address_within
        self._running_since: dict[str, float] = {}
        self._unknown_since: dict[str, float] = {}

    def is_ready(self, instance: Instance) -> bool:
        """Return whether the instance runs, and has an address or will get none. BootstrapError if it ended."""
        instance_id = instance.instance_id
        if instance.state == "pending":
            return False
        if instance.state == UNKNOWN:
            self._check_unknown(instance_id)
            return False
        if instance.state != "running":
            raise _ended_early(instance)
        running_since = self._running_since.setdefault(instance_id, time.monotonic())
        is_late = time.monotonic() - running_since > self._address_within
        if instance.public_ip or is_late:
            self.ready.add(instance_id)
        return instance_id in self.ready

    def _check_unknown(self, instance_id: str) -> None:
        """Raise BootstrapError if EC2 has not reported the state of the instance for too long."""
        now = time.monotonic()
        if now - self._unknown_since.setdefault(instance_id, now) > self._address_within:
            raise BootstrapError(f"EC2 did not report the state of {instance_id}.", code="unexpected-reply")


def _seen(ec2: EC2Client, instance_ids: Iterable[str]) -> list[Instance]:
    """Return the instances; none while EC2 does not know one of them yet."""
    try:
        return get_by_ids(ec2, list(instance_ids))
    except AwsError as exc:
        if exc.aws_code == "InvalidInstanceID.NotFound":
            return []
        raise


def _ended_early(instance: Instance) -> BootstrapError:
    """Return the error for an instance that was terminated or stopped before it ran."""
    reason = instance.state_reason or "no reason given"
    what = f"{instance.instance_id} is {instance.state} instead of running: {reason}"
    hint = "Launch again. If that fails too, try another --instance-type or --region."
    if any(code in reason for code in _KEY_REFUSED):
        what = f"{instance.instance_id} is {instance.state} instead of running: the EBS key refuses ({reason})."
        hint = f"Show the key: aws ec2 get-ebs-default-kms-key-id{PROFILE} --region {instance.region}\n"
        hint += "What it must allow: docs/permissions.md#kms"
    if instance.state in ENDED:
        return BootstrapError(what, hint=hint, code="instance-ended")
    return BootstrapError(what, hint=hint, code="instance-stopped")
