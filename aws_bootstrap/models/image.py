"""Results of `bake` and `image`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .base import Result, optional, private
from .facts import RegionFailure, Resource

#: Whether the setup's files on an image are those of this program: `current`, `other`, or `unknown`.
Freshness = Literal["current", "other", "unknown"]


@dataclass(frozen=True)
class BakePlan:
    """What a bake will do, as a person confirms it."""

    name: str
    instance_id: str
    #: Its alias, or its id.
    box: str
    region: str
    #: The size of the root disk; None if it is unknown.
    size_gb: int | None
    #: What the snapshot costs a month at most; None if that is unknown.
    monthly_cost_usd: float | None
    #: The attached devices that are left out.
    without: tuple[str, ...]
    #: The files that look like secrets and remain in the image.
    remaining_secrets: tuple[str, ...]


@dataclass(frozen=True)
class BakeReport(Result):
    """An image of a box's root disk."""

    #: Null where none was created.
    image_id: str | None
    name: str
    region: str
    #: EC2's state of it: `pending` until it is `available`, or `failed`.
    state: str | None
    #: Null until EC2 reports it.
    snapshot_id: str | None
    size_gb: int | None
    #: What the snapshot costs a month at most; null if that is unknown.
    monthly_cost_usd: float | None
    #: The box that it was baked from.
    source: str
    ssh_alias: str | None
    #: Whether that box answers again after its reboot, its data volume mounted as before; null if nobody looked.
    source_ready: bool | None
    #: The files in the box's homes that look like secrets, and remain in the image.
    remaining_secrets: tuple[str, ...]
    #: The version of the setup's files on the box; null if it has none.
    setup_version: str | None
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Why the box is not as it was.
    source_error: str | None = private()
    #: Why EC2 could not create the image.
    state_reason: str | None = private()
    declined: bool = private(False)

    def resources(self) -> tuple[Resource, ...]:
        """Return the image, if there is one."""
        if self.image_id is None:
            return ()
        return (Resource("image", self.image_id, self.region, billing=True),)


@dataclass(frozen=True)
class OwnImageRow:
    """An image that this tool baked."""

    image_id: str
    name: str
    region: str
    state: str
    created: datetime | None
    size_gb: int
    #: What its snapshots cost a month at most; null if that is unknown.
    monthly_cost_usd: float | None
    snapshot_ids: tuple[str, ...]
    #: The box that it was baked from.
    source: str | None
    #: Whether the setup's files on it are those of this program.
    setup_files: Freshness
    #: What the setup has installed on it, in one line.
    setup: str | None
    #: The principal that baked it, and whether that is the caller; null where that is unknown.
    owner: str | None
    yours: bool | None


@dataclass(frozen=True)
class OwnImageList(Result):
    """The images that this tool baked, of everybody."""

    images: tuple[OwnImageRow, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...]
    #: What the caller's images cost a month at most; null if one of them is unknown, or a region.
    monthly_cost_usd: float | None


@dataclass(frozen=True)
class ImageRemoval:
    """What was done to one image."""

    image_id: str
    name: str
    region: str
    deregistered: bool
    snapshots_deleted: tuple[str, ...] = ()
    #: Why the rest was not done.
    error: str | None = optional()


@dataclass(frozen=True)
class ImageRemovals(Result):
    """The images that were removed."""

    removed: tuple[ImageRemoval, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    declined: bool = private(False)
