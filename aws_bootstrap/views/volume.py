"""Data volumes and snapshots: listed, created, grown, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..models import (
    GrowReport,
    RemovedDisk,
    RemoveReport,
    SnapshotReport,
    SnapshotRow,
    VolumeList,
    VolumeReport,
    VolumeRow,
)
from ..next_commands import next_commands
from .costs import a_month
from .text import aligned, heading, other_owner, pairs, plural, text, titled


@text.register
def volume_list(report: VolumeList) -> str:
    """Return the volumes, then the snapshots, and what all cost."""
    unread = len(report.regions_failed) + len(report.regions_denied)
    regions = plural(len(report.regions_queried) - unread, "region")
    parts: list[str] = []
    if not report.volumes:
        parts.append(f"No data volumes in {regions}.")
    else:
        title = heading(plural(len(report.volumes), "data volume"), "cyan")
        parts.append("\n".join([title, *aligned([_volume(row) for row in report.volumes])]))
    if report.snapshots:
        title = heading(f"{plural(len(report.snapshots), 'snapshot')}, at most", "cyan")
        parts.append("\n".join([title, *aligned([_snapshot(row) for row in report.snapshots])]))
    if report.volumes or report.snapshots:
        parts.append(f"In all: {_total(report)}")
    commands = pairs(titled(next_commands(report)), indent="")
    if commands:
        parts.append("\n".join(commands))
    return "\n\n".join(parts)


def _total(report: VolumeList) -> str:
    if report.regions_failed:
        return "unknown, since not every region could be read"
    return a_month(report.monthly_cost_usd)


def _volume(row: VolumeRow) -> list[str]:
    use: str = row.use
    if row.use == "attached":
        use = f"attached to {row.ssh_alias or row.instance_id}"
    return [
        row.volume_id,
        f"{row.size_gb} GB",
        row.availability_zone,
        use,
        a_month(row.monthly_cost_usd),
        _owner(row.owner, row.yours),
    ]


def _snapshot(row: SnapshotRow) -> list[str]:
    created = f"{row.created:%Y-%m-%d}" if row.created else "date unknown"
    return [
        row.snapshot_id,
        f"{row.size_gb} GB",
        row.region,
        f"{row.state}, of {row.volume_id or 'an unknown volume'}, {created}",
        a_month(row.monthly_cost_usd),
        _owner(row.owner, row.yours),
    ]


def _owner(owner: str | None, yours: bool | None) -> str:
    other = other_owner(owner, yours)
    return f"owner: {other}" if other else ""


@text.register
def volume_report(report: VolumeReport) -> str:
    """Return the new volume, its price, and the launch that uses it."""
    contents = "empty; formatted at its first use"
    if report.snapshot_id:
        contents = f"from {report.snapshot_id}"
    facts = [
        ("Volume", f"{report.volume_id}  {report.size_gb} GB  in {report.availability_zone}"),
        ("Contents", contents),
        ("Price", f"{a_month(report.monthly_cost_usd)}, until you delete it"),
        ("Copy", report.copied_snapshot_id and f"{report.copied_snapshot_id} in {report.region} bills, too"),
    ]
    return "\n".join([heading(f"{report.volume_id} is ready"), *pairs([*facts, *titled(next_commands(report))])])


@text.register
def snapshot_report(report: SnapshotReport) -> str:
    """Return the snapshot, its price, and how to restore it."""
    facts = [
        ("Snapshot", f"{report.snapshot_id}  {report.size_gb} GB  in {report.region}"),
        ("Of", report.volume_id),
        ("State", f"{report.state}; the volume may be used meanwhile"),
        ("Price", f"{a_month(report.monthly_cost_usd)} at most, until you delete it"),
    ]
    title = heading(f"The snapshot {report.snapshot_id} is created")
    return "\n".join([title, *pairs([*facts, *titled(next_commands(report))])])


def grow_question(planned: GrowReport) -> str:
    """Return what growing a volume costs, and that it cannot be undone."""
    box = f" of {planned.ssh_alias}" if planned.ssh_alias else ""
    return "\n".join(
        [
            f"  {planned.volume_id}{box}  {planned.previous_size_gb} GB -> {planned.size_gb} GB  in {planned.region}",
            f"  It then costs {a_month(planned.monthly_cost_usd)}.",
            "A volume cannot shrink again, and EC2 takes the next change after six hours.",
            "Grow it?",
        ]
    )


_FILESYSTEM = {
    "grown": "has the new size too",
    "not-mounted": "not mounted on a running box that this machine reaches: it grows when you run resize2fs on it",
    "failed": "has its old size",
}


@text.register
def grow_report(report: GrowReport) -> str:
    """Return the new size of the volume and of its filesystem."""
    if report.filesystem == "declined":
        return "Nothing was changed."
    facts = [
        ("Volume", f"{report.volume_id}  {report.previous_size_gb} GB -> {report.size_gb} GB"),
        ("Filesystem", _FILESYSTEM[report.filesystem]),
        ("Price", a_month(report.monthly_cost_usd)),
        ("Next change", "in six hours at the earliest"),
    ]
    return "\n".join([heading(f"{report.volume_id} has grown"), *pairs([*facts, *titled(next_commands(report))])])


def remove_question(planned: Sequence[RemovedDisk]) -> str:
    """Return what is deleted, with size and price."""
    lines = aligned([_disk(one) for one in planned])
    things = plural(len(planned), "volume or snapshot", "volumes and snapshots")
    return "\n".join([*lines, f"Delete {things}, with all their data?"])


def _disk(one: RemovedDisk) -> list[str]:
    return [one.type, one.id, f"{one.size_gb} GB", f"in {one.region}", a_month(one.monthly_cost_usd)]


@text.register
def remove_report(report: RemoveReport) -> str:
    """Return what was deleted, and what still exists."""
    if report.declined or not report.removed:
        return "Nothing was deleted."
    return "\n".join(_removed(report.removed))


def _removed(removed: Iterable[RemovedDisk]) -> list[str]:
    lines: list[str] = []
    for one in removed:
        outcome = "deleted" if one.deleted else f"not deleted: {one.error}"
        lines.append(f"{one.id} ({one.size_gb} GB, {a_month(one.monthly_cost_usd)}): {outcome}")
    return lines
