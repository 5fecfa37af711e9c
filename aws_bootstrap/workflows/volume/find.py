"""Find a volume by its id, or by the alias or id of the box that has it; a snapshot by its id. In any region."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ... import aws, ec2
from ...config import TAG_OWNER
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...models import Snapshot, Volume
from ...outcomes import unread_regions
from ..box import Box
from ..inventory import select, select_one
from ..owners import find_owner

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ...app import App


@dataclass(frozen=True)
class FoundVolume:
    """A volume, and the box that has it; None where no box of this tool has."""

    volume: Volume
    box: Box | None = None


def volume(app: App, name: str) -> FoundVolume:
    """Return the volume of that id, or the data volume of the box with that alias or id.

    BootstrapError `not-found` for one that does not exist or is no data volume of this tool, `region-failed` where a
    region that could not be read may have it. UsageError for a box with several data volumes.
    """
    if not name.startswith("vol-"):
        return _of_box(app, name)
    found = _in_any_region(app, name, ec2.find_volume)
    if found is None or not (found.created_by_us or found.instance_id is not None):
        raise _not_found(name, "data volume")
    box = None
    if found.attached_to:
        with contextlib.suppress(BootstrapError):  # an instance of the user's own may have it
            (box,) = select(app, [found.attached_to], [found.region], volumes="none")
    return FoundVolume(found, box)


def _of_box(app: App, name: str) -> FoundVolume:
    """Return the data volume of a box."""
    box = select_one(app, name)
    if not box.volumes:
        raise BootstrapError(
            f"{name} has no data volume.", hint=f"List data volumes: {PROGRAM} volume ls", code="not-found"
        )
    if len(box.volumes) > 1:
        ids = ", ".join(one.volume_id for one in box.volumes)
        raise UsageError(f"{name} has several data volumes: {ids}.", hint="Pass the id of one of them.")
    return FoundVolume(box.volumes[0], box)


def snapshot(app: App, snapshot_id: str) -> Snapshot:
    """Return the account's snapshot of that id. BootstrapError `not-found` or `region-failed` as for a volume."""
    found = _in_any_region(app, snapshot_id, ec2.find_snapshot)
    if found is None:
        raise _not_found(snapshot_id, "snapshot")
    return found


def _in_any_region[T](app: App, name: str, look: Callable[[EC2Client, str], T | None]) -> T | None:
    """Return what a region has of that id; None if every enabled region answers that it has not."""

    def read(region: str) -> T | None:
        return look(app.aws.ec2(region), name)

    answers, failed = aws.each_region(app.aws.regions(), read)
    for answer in answers.values():
        if answer is not None:
            return answer
    unread = unread_regions([failure for failure in failed if not failure.is_denied])
    if unread:
        raise BootstrapError(str(unread), hint=unread.hint, code=unread.code)
    return None


def _not_found(name: str, what: str) -> BootstrapError:
    return BootstrapError(
        f"There is no {what} {name} in any enabled region.",
        hint=f"List data volumes and snapshots: {PROGRAM} volume ls",
        code="not-found",
    )


def owner_tags(app: App) -> dict[str, str]:
    """Return the tag with the owner of what is created now; none if STS does not say who calls."""
    owner = find_owner(app)
    if owner is None:
        return {}
    return {TAG_OWNER: owner}


def unique_name(what: str) -> str:
    """Return a name that nothing else has, by which what is created is found if no answer comes."""
    return f"aws-bootstrap-{what}-{uuid4().hex[:12]}"


def region_of(zone: str) -> str:
    """Return the region of an availability zone, such as us-west-2 of us-west-2a."""
    return zone.rstrip("abcdefghijklmnopqrstuvwxyz") if zone[-1:].isalpha() else zone


def enabled(app: App, regions: Sequence[str], zone: str) -> None:
    """Raise UsageError unless the zone is in one of these regions, which are those that are enabled."""
    if region_of(zone) not in regions:
        raise UsageError(
            f"The zone {zone} is in no region that is enabled for this account.", hint="Write it like us-west-2a."
        )
