"""Results of `cleanup`: as planned and as done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .base import Access, Result, Table, optional, private
from .facts import RegionFailure


@dataclass(frozen=True)
class AliasEntry:
    """An alias of the SSH config and the instance it is for."""

    instance_id: str
    alias: str


@dataclass(frozen=True)
class AliasAddress:
    """An alias added or changed, and the address that it has now."""

    instance_id: str
    alias: str
    public_ip: str


@dataclass(frozen=True)
class VolumeEntry:
    """A data volume whose instance is gone."""

    volume_id: str
    size_gb: int
    region: str = private("")


@dataclass(frozen=True)
class DeletedVolume:
    """What became of a data volume that was to be deleted; `error` where it still is there."""

    volume_id: str
    size_gb: int
    deleted: bool
    error: str | None = optional()
    region: str = private("")


@dataclass(frozen=True)
class Action:
    """One line of the table."""

    action: str
    name: str
    what: str


_COLUMNS = {"action": "Action", "name": "Id", "what": "What"}


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
    kept_volumes: tuple[VolumeEntry, ...] = private(())
    access: Access = private(Access())
    command: str = private("")
    """The command that does what is planned here."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.stale or self.added or self.updated or self.orphan_volumes)

    def tables(self) -> list[Table]:
        """One table of everything, by action."""
        removals = [Action("remove alias", s.instance_id, s.alias) for s in self.stale]
        deletions = [Action("delete volume", v.volume_id, f"{v.size_gb} GB") for v in self.orphan_volumes]
        added, updated = _moves("add alias", self.added), _moves("update alias", self.updated)
        return [Table(_COLUMNS, [*removals, *added, *updated, *deletions, *_left(self)])]


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
    kept_volumes: tuple[VolumeEntry, ...] = private(())
    access: Access = private(Access())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was done."""
        return not (self.cleaned or self.added or self.updated or self.deleted_volumes)

    def tables(self) -> list[Table]:
        """One table of everything, by action."""
        removals = [Action("alias removed", c.instance_id, c.alias) for c in self.cleaned]
        added, updated = _moves("alias added", self.added), _moves("alias updated", self.updated)
        deletions = [_deletion(v) for v in self.deleted_volumes]
        return [Table(_COLUMNS, [*removals, *added, *updated, *deletions, *_left(self)])]


def _moves(action: str, entries: Iterable[AliasAddress]) -> list[Action]:
    return [Action(action, e.instance_id, f"{e.alias} {e.public_ip}") for e in entries]


def _deletion(volume: DeletedVolume) -> Action:
    outcome = f": {volume.error}" if volume.error else ""
    return Action(
        "not deleted" if volume.error else "volume deleted", volume.volume_id, f"{volume.size_gb} GB{outcome}"
    )


def _left(result: CleanupPlan | CleanupReport) -> Iterator[Action]:
    """What stays as it is."""
    yield from (Action("skip", s.instance_id, s.alias) for s in result.skipped)
    yield from (Action("skip", v.volume_id, f"{v.size_gb} GB") for v in result.skipped_volumes)
    yield from (Action("broken block", b, "left alone") for b in result.broken)
