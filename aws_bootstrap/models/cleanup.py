"""Results of `cleanup`: as planned and as done."""

from __future__ import annotations

from collections.abc import Iterable
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
        actions = _alias_actions("remove alias", self.stale)
        actions += _address_actions("add alias", self.added)
        actions += _address_actions("update alias", self.updated)
        actions += _volume_actions("delete volume", self.orphan_volumes)
        actions += _skipped(self)
        return [Table(_COLUMNS, actions)]


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
        actions = _alias_actions("alias removed", self.cleaned)
        actions += _address_actions("alias added", self.added)
        actions += _address_actions("alias updated", self.updated)
        for volume in self.deleted_volumes:
            actions.append(_deletion(volume))
        actions += _skipped(self)
        return [Table(_COLUMNS, actions)]


def _alias_actions(action: str, entries: Iterable[AliasEntry]) -> list[Action]:
    return [Action(action, entry.instance_id, entry.alias) for entry in entries]


def _address_actions(action: str, entries: Iterable[AliasAddress]) -> list[Action]:
    return [Action(action, entry.instance_id, f"{entry.alias} {entry.public_ip}") for entry in entries]


def _volume_actions(action: str, volumes: Iterable[VolumeEntry]) -> list[Action]:
    return [Action(action, volume.volume_id, f"{volume.size_gb} GB") for volume in volumes]


def _deletion(volume: DeletedVolume) -> Action:
    size = f"{volume.size_gb} GB"
    if volume.error:
        return Action("not deleted", volume.volume_id, f"{size}: {volume.error}")
    return Action("volume deleted", volume.volume_id, size)


def _skipped(result: CleanupPlan | CleanupReport) -> list[Action]:
    """Return what stays as it is."""
    actions = _alias_actions("skip", result.skipped)
    actions += _volume_actions("skip", result.skipped_volumes)
    for instance_id in result.broken:
        actions.append(Action("broken block", instance_id, "left alone"))
    return actions
