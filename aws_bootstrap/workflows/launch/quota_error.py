"""Why a quota refused an attempt: it is 0, a box that has just ended still counts, or it is used up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ... import ec2
from ...aws import without_waiting
from ...errors import BootstrapError, QuotaError
from ...invocation import PROGRAM
from ...models.quota import value_to_request
from ...quota import QuotaKey
from .. import quota
from .capacity import Attempt, ZeroQuotaError

if TYPE_CHECKING:
    from ...app import App

#: For how long after the end of a box EC2 may still count its vCPUs. "Until Amazon EC2 detects the termination" is all
#: that AWS says: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html
RELEASED_WITHIN = timedelta(minutes=10)


def explained(app: App, attempt: Attempt, vcpus: int, error: QuotaError) -> QuotaError:
    """Return the quota's refusal of the attempt with its cause and what to do about it."""
    family = ec2.quota_family(attempt.instance_type)
    if family is None:
        error.add_details(hint=quota_commands(attempt, 0))
        return error
    value = quota.current_value(app, attempt.region, QuotaKey(family, attempt.market))
    commands = quota_commands(attempt, value_to_request(value, vcpus))
    if value == 0:
        return _zero(attempt, error, commands)
    # A quota below one box of the type never allows it, whatever has ended.
    is_large_enough = value is None or value >= vcpus
    if is_large_enough and _has_just_ended(app, attempt, family):
        return _released_late(attempt, error)
    error.add_details(hint=commands)
    return error


def _zero(attempt: Attempt, error: QuotaError, commands: str) -> QuotaError:
    """Return the error for a quota of 0, which new accounts have for GPUs."""
    message = f"The account's {attempt.market} quota for {attempt.instance_type} in {attempt.region} is 0 vCPUs."
    hint = f"New accounts have no GPU quota. AWS decides on a request within hours or days.\n{commands}"
    return ZeroQuotaError(message, aws_code=error.aws_code, hint=hint)


def _released_late(attempt: Attempt, error: QuotaError) -> QuotaError:
    """Return the error for a quota that a box which has just ended still uses."""
    late = QuotaError(
        f"The vCPU quota does not allow another {attempt.instance_type} yet: the box that has just ended still counts.",
        aws_code=error.aws_code,
        hint="EC2 releases the quota some minutes later. Try again in a few minutes, or wait for it: --wait",
    )
    late.passes = True
    return late


def _has_just_ended(app: App, attempt: Attempt, family: str) -> bool:
    """Return whether a box that counts against the same quota has just ended in the region. False if it is unknown."""
    since = datetime.now(UTC) - RELEASED_WITHIN

    def read(region: str) -> bool:
        for instance in ec2.find_ended(app.aws.ec2(region), since):
            if instance.lifecycle == attempt.market and ec2.quota_family(instance.instance_type) == family:
                return True
        return False

    try:
        return without_waiting(attempt.region, read)
    except BootstrapError:
        return False


def quota_commands(attempt: Attempt, desired_value: int) -> str:
    """Return the commands that show and raise the quota that refused this attempt."""
    family = ec2.quota_family(attempt.instance_type)
    if family is None:
        return "Request an increase: https://console.aws.amazon.com/servicequotas/"
    pinned = f"--family {family} --region {attempt.region}"
    request = f"{PROGRAM} quota request {pinned} --type {attempt.market} --desired-value {desired_value}"
    return f"Show the quota: {PROGRAM} quota show {pinned}\nRequest an increase: {request}"
