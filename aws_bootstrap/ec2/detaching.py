"""Wait until data volumes are detached: one call a second asks for all volumes of a region that are waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import AwsError, BootstrapError, TransientError
from ..models import Volume
from .instances import UNKNOWN
from .volumes import find_volumes_by_id

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def wait_detached(
    ec2: EC2Client, holders: Mapping[str, str], timeout: float = 600.0, every: float = 1.0
) -> Iterator[dict[str, BootstrapError | None]]:
    """Yield the volumes as they are detached from the instances that `holders` names, by id: one call asks for all.

    Each comes once, with None if it is detached or no longer exists. Otherwise with its error: `volume-in-use` if that
    takes too long or if another instance has it, or the error of the calls.
    """
    waiting = dict(holders)
    end = time.monotonic() + timeout
    failed_before = False
    while waiting:
        is_last = time.monotonic() >= end
        try:
            settled = _settled(waiting, find_volumes_by_id(ec2, waiting))
            failed_before = False
        except AwsError as exc:
            settled = {}
            # One failure is forgiven, since it would be the failure of every volume. A refusal is final.
            if failed_before or is_last or not _may_pass(exc):
                settled = dict.fromkeys(waiting, exc)
            failed_before = True
        for volume_id in settled:
            del waiting[volume_id]
        if is_last:
            settled |= _overdue(waiting, timeout)
            waiting.clear()
        if settled:
            yield settled
        if waiting:
            time.sleep(every)


def _settled(waiting: Mapping[str, str], found: Mapping[str, Volume]) -> dict[str, BootstrapError | None]:
    """Return those of the volumes that need not be waited for any longer, with None or the error."""
    settled: dict[str, BootstrapError | None] = {}
    for volume_id, instance_id in waiting.items():
        volume = found.get(volume_id)
        if volume is None or _is_free(volume):
            settled[volume_id] = None
        elif volume.attached_to not in (None, instance_id, UNKNOWN):
            message = f"{volume_id} is attached to {volume.attached_to}."
            settled[volume_id] = BootstrapError(message, code="volume-in-use")
    return settled


def _is_free(volume: Volume) -> bool:
    """Return whether the volume is detached: also if its state is missing, but it is attached to nothing."""
    return volume.state == "available" or (volume.state == UNKNOWN and volume.attached_to is None)


def _overdue(waiting: Iterable[str], timeout: float) -> dict[str, BootstrapError | None]:
    """Return the error of each of these volumes, which were waited for in vain."""
    overdue: dict[str, BootstrapError | None] = {}
    for volume_id in waiting:
        overdue[volume_id] = BootstrapError(f"{volume_id} did not detach within {timeout:.0f} s.", code="volume-in-use")
    return overdue


def _may_pass(error: AwsError) -> bool:
    """Return whether the same call may succeed a second later."""
    return isinstance(error, TransientError) or not error.outcome_known
