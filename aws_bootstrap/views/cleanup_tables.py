"""The table of a cleanup: one of everything, by action."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..models import AliasAddress, AliasEntry, CleanupPlan, CleanupReport, DeletedGroup, DeletedVolume, VolumeEntry
from .costs import a_month
from .table import Columns, Table, tables


@dataclass(frozen=True)
class Action:
    """One line of a cleanup's table."""

    action: str
    name: str
    what: str


_ACTIONS: Columns = {"action": "Action", "name": "Id", "what": "What"}


@tables.register
def cleanup_plan_tables(plan: CleanupPlan) -> list[Table]:
    """Return one table of everything, by action."""
    actions = _alias_actions("remove alias", plan.stale)
    actions += _address_actions("add alias", plan.added)
    actions += _address_actions("update alias", plan.updated)
    actions += _volume_actions("delete volume", plan.orphan_volumes)
    for group in (*plan.placement_groups, *plan.security_groups):
        actions.append(Action("delete group", group.id, f"{group.cluster_id} in {group.region}"))
    actions += _skipped(plan)
    return [Table(_ACTIONS, actions)]


@tables.register
def cleanup_tables(report: CleanupReport) -> list[Table]:
    """Return one table of everything, by action."""
    actions = _alias_actions("alias removed", report.cleaned)
    actions += _address_actions("alias added", report.added)
    actions += _address_actions("alias updated", report.updated)
    for volume in report.deleted_volumes:
        actions.append(_deletion(volume))
    for group in (*report.placement_groups, *report.security_groups):
        actions.append(_group_deletion(group))
    actions += _skipped(report)
    return [Table(_ACTIONS, actions)]


def _alias_actions(action: str, entries: Iterable[AliasEntry]) -> list[Action]:
    return [Action(action, entry.instance_id, entry.alias) for entry in entries]


def _address_actions(action: str, entries: Iterable[AliasAddress]) -> list[Action]:
    return [Action(action, entry.instance_id, f"{entry.alias} {entry.public_ip}") for entry in entries]


def _volume_actions(action: str, volumes: Iterable[VolumeEntry]) -> list[Action]:
    return [Action(action, volume.volume_id, f"{volume.size_gb} GB") for volume in volumes]


def _kept_actions(volumes: Iterable[VolumeEntry]) -> list[Action]:
    """Return the volumes that stay and bill."""
    actions: list[Action] = []
    for volume in volumes:
        what = f"{volume.size_gb} GB, {a_month(volume.monthly_cost_usd)}, in {volume.region}"
        if volume.is_of_others:
            what += f", of {volume.owner or 'nobody'}"
        actions.append(Action("keep volume", volume.volume_id, what))
    return actions


def _deletion(volume: DeletedVolume) -> Action:
    size = f"{volume.size_gb} GB"
    if volume.error:
        return Action("not deleted", volume.volume_id, f"{size}: {volume.error}")
    return Action("volume deleted", volume.volume_id, size)


def _group_deletion(group: DeletedGroup) -> Action:
    what = f"{group.cluster_id} in {group.region}"
    if group.error:
        return Action("not deleted", group.id, f"{what}: {group.error}")
    return Action("group deleted", group.id, what)


def _skipped(result: CleanupPlan | CleanupReport) -> list[Action]:
    """Return what stays as it is."""
    actions = _kept_actions(result.kept_volumes)
    actions += _alias_actions("skip", result.skipped)
    actions += _volume_actions("skip", result.skipped_volumes)
    for volume in result.left_out:
        actions.append(Action("left out", volume.volume_id, f"{volume.size_gb} GB of {volume.owner or 'nobody'}"))
    for instance_id in result.broken:
        actions.append(Action("broken block", instance_id, "left alone"))
    return actions
