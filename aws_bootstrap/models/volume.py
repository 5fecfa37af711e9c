"""Results of `volume`: lists, and what was created, grown or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .base import Result, optional, private
from .facts import RegionFailure, Resource, VolumeState

#: What becomes of a data volume: a box has it, it stays until it is named (`kept`), or its box no longer exists.
VolumeUse = Literal["attached", "kept", "orphan", "unknown"]


@dataclass(frozen=True)
class VolumeRow:
    """A data volume. Its cost is a list price; null if unknown."""

    volume_id: str
    region: str
    availability_zone: str
    size_gb: int
    state: VolumeState
    use: VolumeUse
    #: The instance that has it now, and its alias on this machine.
    instance_id: str | None
    ssh_alias: str | None
    monthly_cost_usd: float | None
    owner: str | None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None
    #: Whether `volume rm` may delete it; a brought volume is its owner's.
    created_by_us: bool


@dataclass(frozen=True)
class SnapshotRow:
    """A snapshot that this tool created. Its cost is the most that it can be, a list price; null if unknown."""

    snapshot_id: str
    region: str
    size_gb: int
    state: str
    #: The volume that it is a copy of, which may be deleted.
    volume_id: str | None
    created: datetime | None
    monthly_cost_usd: float | None
    owner: str | None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None


@dataclass(frozen=True)
class VolumeList(Result):
    """The data volumes and snapshots of the regions queried."""

    volumes: tuple[VolumeRow, ...]
    snapshots: tuple[SnapshotRow, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: What all of them cost a month, snapshots at most; null if the cost of one is unknown, or a region.
    monthly_cost_usd: float | None = None
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class VolumeReport(Result):
    """A data volume that was created, empty or from a snapshot. It is kept: only `volume rm` deletes it."""

    volume_id: str
    region: str
    availability_zone: str
    size_gb: int
    monthly_cost_usd: float | None
    #: The snapshot that it was restored from.
    snapshot_id: str | None = optional()
    #: The copy of that snapshot in the volume's region, which bills until it is deleted.
    copied_snapshot_id: str | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()

    def resources(self) -> tuple[Resource, ...]:
        """Return the volume, and the copy of the snapshot."""
        found = [Resource("volume", self.volume_id, self.region, billing=True)]
        if self.copied_snapshot_id:
            found.append(Resource("snapshot", self.copied_snapshot_id, self.region, billing=True))
        return tuple(found)


@dataclass(frozen=True)
class SnapshotReport(Result):
    """A snapshot that was created. EC2 stores it for minutes or hours; the volume may be used and changed meanwhile."""

    snapshot_id: str
    volume_id: str
    region: str
    size_gb: int
    state: str
    #: The most that it costs a month: it bills for the blocks that it stores.
    monthly_cost_usd: float | None
    regions_failed: tuple[RegionFailure, ...] = ()
    #: A zone of the volume's region, for the example of a restore.
    availability_zone: str = private("")

    def resources(self) -> tuple[Resource, ...]:
        """Return the snapshot."""
        return (Resource("snapshot", self.snapshot_id, self.region, billing=True),)


@dataclass(frozen=True)
class GrowReport(Result):
    """A volume that has grown, and whether its filesystem has."""

    volume_id: str
    region: str
    previous_size_gb: int
    size_gb: int
    monthly_cost_usd: float | None
    #: `grown`; `not-mounted` where no running box that this machine reaches has it mounted; `failed`; `declined` where
    #: nothing was done.
    filesystem: Literal["grown", "not-mounted", "failed", "declined"]
    ssh_alias: str | None = None
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Why the filesystem has not grown, and the commands that grow it.
    filesystem_error: str | None = private()


@dataclass(frozen=True)
class RemovedDisk:
    """A volume or snapshot that was to be deleted; `error` where it still exists."""

    type: Literal["volume", "snapshot"]
    id: str
    region: str
    size_gb: int
    #: What it cost a month.
    monthly_cost_usd: float | None
    deleted: bool
    error: str | None = optional()


@dataclass(frozen=True)
class RemoveReport(Result):
    """What became of the volumes and snapshots to delete."""

    removed: tuple[RemovedDisk, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    declined: bool = private(False)
