"""Results of `cleanup`: as planned and as done."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import Result, optional, private
from .facts import RegionFailure
from .left_out import LeftOutVolume


@dataclass(frozen=True)
class AliasEntry:
    """An alias of the SSH config and the instance it is for."""

    instance_id: str
    alias: str
    region: str | None = field(default=None, compare=False, metadata={"private": True})
    #: The options of the launch of its box, in one line, as the SSH config has them.
    settings: str | None = field(default=None, compare=False, metadata={"private": True})


@dataclass(frozen=True)
class AliasAddress:
    """An alias added or changed, and the address that it has now."""

    instance_id: str
    alias: str
    public_ip: str


@dataclass(frozen=True)
class VolumeEntry:
    """A data volume whose instance no longer exists, and what it costs a month."""

    volume_id: str
    size_gb: int
    region: str = ""
    monthly_cost_usd: float | None = None
    #: The principal that created it; null for a volume from before the tag `aws-bootstrap-owner`.
    owner: str | None = None
    #: Whether that is the caller; null with --everyone, or where it could not be read who calls.
    yours: bool | None = None

    @property
    def is_of_others(self) -> bool:
        """Whether only --everyone deletes it."""
        return self.yours is False


@dataclass(frozen=True)
class DeletedVolume:
    """What became of a data volume that was to be deleted; `error` where it still exists."""

    volume_id: str
    size_gb: int
    deleted: bool
    error: str | None = optional()
    region: str = private("")


@dataclass(frozen=True)
class GroupEntry:
    """A placement group, by its name, or a security group, of a cluster that has no node any more. It does not bill."""

    id: str
    cluster_id: str
    region: str
    #: The principal that created it; null if none is recorded.
    owner: str | None = None
    #: Whether that is the caller; null with --everyone.
    yours: bool | None = None

    @property
    def is_security_group(self) -> bool:
        """Whether it is a security group."""
        return self.id.startswith("sg-")


@dataclass(frozen=True)
class DeletedGroup:
    """What became of such a group; `error` where it still exists."""

    id: str
    cluster_id: str
    region: str
    deleted: bool
    error: str | None = optional()


@dataclass(frozen=True)
class CleanupPlan(Result):
    """What a cleanup would do. `skipped` are stale aliases that stay, `broken` the ids of blocks that are damaged."""

    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    stale: tuple[AliasEntry, ...]
    added: tuple[AliasAddress, ...]
    updated: tuple[AliasAddress, ...]
    orphan_volumes: tuple[VolumeEntry, ...]
    skipped: tuple[AliasEntry, ...] = ()
    skipped_volumes: tuple[VolumeEntry, ...] = ()
    broken: tuple[str, ...] = ()
    kept_volumes: tuple[VolumeEntry, ...] = ()
    #: The command that deletes the kept volumes, except those that are not the caller's; null if there are none.
    delete_kept_command: str | None = None
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
    #: The orphan volumes that stay since they are not the caller's.
    left_out: tuple[LeftOutVolume, ...] = ()
    #: The groups to delete, of clusters that have no node any more.
    placement_groups: tuple[GroupEntry, ...] = ()
    security_groups: tuple[GroupEntry, ...] = ()
    #: The command that does what is planned here.
    command: str = private("")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        has_groups = bool(self.placement_groups or self.security_groups)
        return not (self.stale or self.added or self.updated or self.orphan_volumes or has_groups)


@dataclass(frozen=True)
class CleanupReport(Result):
    """What a cleanup did. `skipped` are stale aliases that stayed, `broken` the ids of blocks that are damaged."""

    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    cleaned: tuple[AliasEntry, ...]
    added: tuple[AliasAddress, ...]
    updated: tuple[AliasAddress, ...]
    deleted_volumes: tuple[DeletedVolume, ...]
    skipped: tuple[AliasEntry, ...] = ()
    skipped_volumes: tuple[VolumeEntry, ...] = ()
    broken: tuple[str, ...] = ()
    kept_volumes: tuple[VolumeEntry, ...] = ()
    #: The command that deletes the kept volumes, except those that are not the caller's; null if there are none.
    delete_kept_command: str | None = None
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
    #: The orphan volumes that stay since they are not the caller's.
    left_out: tuple[LeftOutVolume, ...] = ()
    #: What became of the groups of clusters that have no node any more.
    placement_groups: tuple[DeletedGroup, ...] = ()
    security_groups: tuple[DeletedGroup, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was done."""
        has_groups = bool(self.placement_groups or self.security_groups)
        return not (self.cleaned or self.added or self.updated or self.deleted_volumes or has_groups)
