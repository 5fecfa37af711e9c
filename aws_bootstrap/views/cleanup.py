"""What a cleanup would do, and what it did."""

from __future__ import annotations

from collections.abc import Iterable

from click import style

from ..models import AliasAddress, AliasEntry, CleanupPlan, CleanupReport, DeletedVolume, VolumeEntry
from .text import aligned, heading, next_commands, plural, text


@text.register
def _(plan: CleanupPlan) -> str:
    """Everything by what would become of it; then what stays and why."""
    parts = [
        _aliases("Would remove", plan.stale),
        _moves("Would add", plan.added),
        _moves("Would change", plan.updated),
        _volumes("Would delete", plan.orphan_volumes),
    ]
    title = heading("Dry run: nothing was changed", "yellow")
    then = [] if plan.is_empty else [next_commands({"Do it": plan.command})]
    return "\n\n".join([title, *_found(parts, plan), *then])


@text.register
def _(report: CleanupReport) -> str:
    """Everything by what became of it; then what stays and why."""
    parts = [
        _aliases("Removed", report.cleaned),
        _moves("Added", report.added),
        _moves("Changed", report.updated),
        _deletions(report.deleted_volumes),
    ]
    then = [next_commands({"Log in": f"{report.access.ssh} {report.added[0].alias}"})] if report.added else []
    return "\n\n".join([*_found(parts, report), *then])


def _found(parts: Iterable[list[str]], result: CleanupPlan | CleanupReport) -> list[str]:
    left = [
        _aliases("Left alone, since not every region could be read:", result.skipped, counted=False),
        _volumes("Left alone, since not every region could be read:", result.skipped_volumes, counted=False),
        _broken(result.broken),
        _kept(result),
    ]
    done = ["\n".join(lines) for lines in parts if lines]
    nothing = f"Nothing to clean up in {plural(len(result.regions_queried) - len(result.regions_failed), 'region')}."
    unsure = result.skipped or result.skipped_volumes
    return [*(done or ([] if unsure else [nothing])), *("\n".join(lines) for lines in left if lines)]


def _aliases(title: str, entries: tuple[AliasEntry, ...], *, counted: bool = True) -> list[str]:
    whole = f"{title} {plural(len(entries), 'stale alias', 'stale aliases')}" if counted else title
    return _block(whole, [[e.alias, e.instance_id] for e in entries])


def _moves(title: str, entries: tuple[AliasAddress, ...]) -> list[str]:
    whole = f"{title} {plural(len(entries), 'alias', 'aliases')}"
    return _block(whole, [[e.alias, e.instance_id, e.public_ip] for e in entries])


def _volumes(title: str, entries: tuple[VolumeEntry, ...], *, counted: bool = True) -> list[str]:
    whole = f"{title} {plural(len(entries), 'data volume')}" if counted else title
    return _block(whole, [[e.volume_id, f"{e.size_gb} GB", e.region] for e in entries])


def _deletions(volumes: tuple[DeletedVolume, ...]) -> list[str]:
    gone, there = [v for v in volumes if v.deleted], [v for v in volumes if not v.deleted]
    lines = _volumes("Deleted", tuple(VolumeEntry(v.volume_id, v.size_gb, v.region) for v in gone))
    failed = [[v.volume_id, f"{v.size_gb} GB", v.region, style(v.error or "", fg="red")] for v in there]
    return lines + _block(f"Could not delete {plural(len(there), 'data volume')}", failed)


def _broken(ids: tuple[str, ...]) -> list[str]:
    return _block("Damaged in the SSH config and left alone; mend or remove these blocks by hand", [[i] for i in ids])


def _kept(result: CleanupPlan | CleanupReport) -> list[str]:
    lines = _block("Kept, as they are marked to stay; they bill", [_volume(v) for v in result.kept_volumes])
    again = f"{result.access.program} cleanup --include-ebs --include-kept"
    return [*lines, next_commands({"Delete these too": again})] if lines else []


def _volume(volume: VolumeEntry) -> list[str]:
    return [volume.volume_id, f"{volume.size_gb} GB", volume.region]


def _block(title: str, rows: list[list[str]]) -> list[str]:
    return [heading(title), *aligned(rows)] if rows else []
