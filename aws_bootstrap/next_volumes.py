"""The commands to type after those of `volume`. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .models import Command, GrowReport, SnapshotReport, VolumeList, VolumeReport
from .next_commands import attach_again, log_in, next_commands


@next_commands.register
def _after_list(report: VolumeList) -> tuple[Command, ...]:
    """Return how to use each free volume of the caller's, and how to restore the newest snapshot."""
    commands: list[Command] = []
    for row in report.volumes:
        if row.use != "attached" and row.yours is not False:
            commands.append(attach_again(row.region, row.volume_id))
    own_snapshots = [row for row in report.snapshots if row.yours is not False]
    if own_snapshots:
        commands.append(own("Restore one", "volume", "restore", own_snapshots[-1].snapshot_id))
    return tuple(commands)


@next_commands.register
def _after_create(report: VolumeReport) -> tuple[Command, ...]:
    """Return the launch that uses the volume, and how to delete it."""
    names = [report.volume_id]
    if report.copied_snapshot_id:
        names.append(report.copied_snapshot_id)
    return (attach_again(report.region, report.volume_id, "Use it"), own("Delete it", "volume", "rm", *names))


@next_commands.register
def _after_snapshot(report: SnapshotReport) -> tuple[Command, ...]:
    """Return how to restore the snapshot, and how to delete it."""
    return (
        own("Restore it", "volume", "restore", report.snapshot_id, "--zone", report.availability_zone),
        own("Delete it", "volume", "rm", report.snapshot_id),
    )


@next_commands.register
def _after_growth(report: GrowReport) -> tuple[Command, ...]:
    """Return how to look at the box, where its filesystem has not grown."""
    if report.filesystem == "failed" and report.ssh_alias:
        return (log_in(report.ssh_alias),)
    return ()
