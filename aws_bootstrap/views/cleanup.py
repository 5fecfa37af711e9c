"""What a cleanup would do, and what it did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from click import style

from ..models import (
    AliasAddress,
    AliasEntry,
    CleanupPlan,
    CleanupReport,
    DeletedGroup,
    DeletedVolume,
    GroupEntry,
    VolumeEntry,
)
from ..next_commands import next_commands, of_kept_volumes, of_stale
from .costs import a_month
from .text import aligned, heading, next_lines, other_owner, pairs, plural, regions_read, text, titled

_NOT_CERTAIN = "Left unchanged, since their region could not be read:"


@text.register
def cleanup_plan(plan: CleanupPlan) -> str:
    """Return everything by what would become of it; then what stays and why."""
    changes = [
        _stale("Would remove", plan.stale),
        _moves("Would add", plan.added),
        _moves("Would change", plan.updated),
        _orphans("Would delete", plan.orphan_volumes),
        _groups("Would delete", (*plan.placement_groups, *plan.security_groups)),
    ]
    parts = [heading("Dry run: nothing was changed", "yellow")]
    parts += _found(changes, plan)
    if not plan.is_empty:
        parts.append(next_lines(next_commands(plan)[-1:]))
    return "\n\n".join(parts)


@text.register
def cleanup_report(report: CleanupReport) -> str:
    """Return everything by what became of it; then what stays and why."""
    changes = [
        _stale("Removed", report.cleaned),
        _moves("Added", report.added),
        _moves("Changed", report.updated),
        _deletions(report.deleted_volumes),
        _group_deletions((*report.placement_groups, *report.security_groups)),
    ]
    parts = _found(changes, report)
    if report.added:
        parts.append(next_lines(next_commands(report)[-1:]))
    return "\n\n".join(parts)


def _found(changes: Iterable[list[str]], result: CleanupPlan | CleanupReport) -> list[str]:
    """Return the block of each change, or that there is none; then a block for each reason to keep something."""
    blocks = _as_blocks(changes)
    is_certain = not result.skipped and not result.skipped_volumes
    if not blocks and is_certain:
        what = "Nothing"
        if result.left_out:
            what = "Nothing of yours"
        blocks.append(f"{what} to clean up in {plural(regions_read(result), 'region')}.")
    left = [
        _aliases(_NOT_CERTAIN, result.skipped),
        _volumes(_NOT_CERTAIN, result.skipped_volumes),
        _broken(result.broken),
        _kept(result),
        _kept_of_others(result),
    ]
    return blocks + _as_blocks(left)


def _as_blocks(parts: Iterable[list[str]]) -> list[str]:
    """Return each part's lines as one block; a part without lines is left out."""
    blocks: list[str] = []
    for lines in parts:
        if lines:
            blocks.append("\n".join(lines))
    return blocks


def _stale(verb: str, entries: tuple[AliasEntry, ...]) -> list[str]:
    """Return the aliases, and how to launch their boxes again."""
    lines = _aliases(f"{verb} {plural(len(entries), 'stale alias', 'stale aliases')}", entries)
    return lines + pairs(titled(of_stale(entries)))


def _aliases(title: str, entries: tuple[AliasEntry, ...]) -> list[str]:
    return _table(title, [[entry.alias, entry.instance_id] for entry in entries])


def _moves(verb: str, entries: tuple[AliasAddress, ...]) -> list[str]:
    title = f"{verb} {plural(len(entries), 'alias', 'aliases')}"
    return _table(title, [[entry.alias, entry.instance_id, entry.public_ip] for entry in entries])


def _orphans(verb: str, volumes: tuple[VolumeEntry, ...]) -> list[str]:
    return _volumes(f"{verb} {plural(len(volumes), 'data volume')}", volumes)


def _volumes(title: str, volumes: Sequence[VolumeEntry]) -> list[str]:
    return _table(title, [_cells(volume) for volume in volumes])


def _deletions(volumes: tuple[DeletedVolume, ...]) -> list[str]:
    deleted: list[list[str]] = []
    failed: list[list[str]] = []
    for volume in volumes:
        if volume.deleted:
            deleted.append(_cells(volume))
        else:
            failed.append([*_cells(volume), style(volume.error or "", fg="red")])
    lines = _table(f"Deleted {plural(len(deleted), 'data volume')}", deleted)
    lines += _table(f"Could not delete {plural(len(failed), 'data volume')}", failed)
    return lines


def _groups(verb: str, groups: Sequence[GroupEntry | DeletedGroup]) -> list[str]:
    title = f"{verb} {plural(len(groups), 'group')} of clusters that have no node"
    return _table(title, [[group.id, group.cluster_id, group.region] for group in groups])


def _group_deletions(groups: Sequence[DeletedGroup]) -> list[str]:
    failed = [group for group in groups if group.error]
    rows = [[group.id, group.cluster_id, group.region, style(group.error or "", fg="red")] for group in failed]
    lines = _groups("Deleted", [group for group in groups if group.deleted])
    return lines + _table(f"Could not delete {plural(len(failed), 'group')}", rows)


def _broken(instance_ids: tuple[str, ...]) -> list[str]:
    title = "Damaged in the SSH config, left unchanged. Fix or remove these blocks by hand"
    return _table(title, [[instance_id] for instance_id in instance_ids])


def _kept(result: CleanupPlan | CleanupReport) -> list[str]:
    kept = [volume for volume in result.kept_volumes if not volume.is_of_others]
    lines = _volumes("Kept, as they are marked to stay; they bill", kept)
    if lines:
        lines.append(next_lines(of_kept_volumes(result)))
    return lines


def _kept_of_others(result: CleanupPlan | CleanupReport) -> list[str]:
    rows: list[list[str]] = []
    for volume in result.kept_volumes:
        if volume.is_of_others:
            rows.append([*_cells(volume), f"of {other_owner(volume.owner, volume.yours)}"])
    return _table("Kept, and not yours; only --everyone deletes them", rows)


def _cells(volume: VolumeEntry | DeletedVolume) -> list[str]:
    cells = [volume.volume_id, f"{volume.size_gb} GB", volume.region]
    if isinstance(volume, VolumeEntry):
        cells.append(a_month(volume.monthly_cost_usd))
    return cells


def _table(title: str, rows: list[list[str]]) -> list[str]:
    """Return the title and its rows; nothing without rows."""
    if not rows:
        return []
    return [heading(title), *aligned(rows)]
