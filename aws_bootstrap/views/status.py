"""Our boxes and the volumes that still bill."""

from __future__ import annotations

from click import style

from ..gpu import GpuInfo
from ..models import InstanceStatus, OrphanVolume, StatusReport
from .text import command, connections, heading, pairs, plural, span, text, usd

_COLOURS = {"running": "green", "pending": "yellow", "stopping": "yellow", "shutting-down": "yellow", "stopped": "red"}


@text.register
def _(report: StatusReport) -> str:
    """Each box with its cost and commands, then orphan volumes; the next command to type at the end."""
    if report.regions_failed and len(report.regions_failed) == len(report.regions_queried):
        return ""
    brief = not report.instructions and len(report.instances) > 1
    parts = [_brief(report)] if brief else [_instance(i, report) for i in report.instances]
    regions = plural(len(report.regions_queried) - len(report.regions_failed), "region")
    if not parts:
        parts.append(f"No instances of aws-bootstrap in {regions}.")
    if report.orphan_volumes:
        parts.append(_orphans(report.orphan_volumes, report))
    if not report.instances:
        parts.append(f"Launch one: {command(f'{report.access.program} launch')}")
    elif brief:
        parts.append(f"How to connect, addresses, costs: {command(f'{report.access.program} status')}")
    return "\n\n".join(parts)


def _brief(report: StatusReport) -> str:
    """A line a box, aligned, for those who have many; then what they cost an hour, as far as that is known."""
    rows = [_row(i) for i in report.instances]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    coloured = [style(line, fg=_COLOURS.get(i.state)) for line, i in zip(lines, report.instances, strict=True)]
    prices = [i.spot_price_per_hour for i in report.instances if i.spot_price_per_hour]
    total = f"; spot costs {usd(sum(prices))} an hour now" if prices else ""
    return "\n".join([heading(f"{plural(len(rows), 'instance')}{total}", "cyan"), *coloured])


def _row(i: InstanceStatus) -> tuple[str, ...]:
    data = " ".join(f"{v.mount_point} {v.size_gb} GB" for v in i.ebs_volumes)
    name = i.ssh_alias or i.instance_id
    return (name, i.state, i.instance_type, i.lifecycle, i.availability_zone, _up(i), data)


def _instance(instance: InstanceStatus, report: StatusReport) -> str:
    state = style(instance.state, fg=_COLOURS.get(instance.state, "white"), bold=True)
    name = instance.ssh_alias or instance.instance_id
    facts = [
        ("Instance", f"{instance.instance_id}  {instance.instance_type} {instance.lifecycle}"),
        ("Address", f"{instance.public_ip or 'none'} in {instance.availability_zone}"),
        ("GPU", _unread(instance, report) or _gpu(instance.gpu)),
        ("Up", _up(instance) + _cost(instance)),
        *((f"{v.mount_point}", f"{v.volume_id}  {v.size_gb} GB  {v.state}") for v in instance.ebs_volumes),
    ]
    if report.instructions and instance.state == "running" and instance.ssh_alias:
        facts += connections(report.access, instance.ssh_alias, instance.user)
    elif instance.state in ("running", "pending"):
        facts.append(("Terminate", command(f"{report.access.program} terminate {name}")))
    return "\n".join([f"{heading(name, 'cyan')}  {state}", *pairs(facts)])


def _unread(instance: InstanceStatus, report: StatusReport) -> str | None:
    """What is said of a GPU that was asked for and not told."""
    is_unread = any(warning.instance_id == instance.instance_id for warning in report.unread_gpus)
    return style("unknown", fg="yellow") if is_unread else None


def _gpu(gpu: GpuInfo | None) -> str | None:
    if gpu is None:
        return None
    cuda = f"CUDA {gpu.cuda_toolkit or 'none'} installed, {gpu.cuda_driver_max or 'unknown'} at most by driver"
    return f"{gpu.name} ({gpu.architecture or 'unknown architecture'}), {cuda} {gpu.driver or ''}".rstrip()


def _up(instance: InstanceStatus) -> str:
    return "unknown" if instance.uptime_seconds is None else span(instance.uptime_seconds)


def _cost(instance: InstanceStatus) -> str:
    if instance.spot_price_per_hour is None or instance.estimated_cost is None:
        return ""
    return f", about {usd(instance.estimated_cost)} at {usd(instance.spot_price_per_hour)}/h"


def _orphans(volumes: tuple[OrphanVolume, ...], report: StatusReport) -> str:
    lines = [
        f"  {v.volume_id}  {v.size_gb} GB  {usd(v.monthly_cost_usd)}/month  in {v.region}{'  (kept)' if v.kept else ''}"
        for v in volumes
    ]
    title = heading("Data volumes without an instance; they bill until deleted", "yellow")
    return "\n".join([title, *lines, *_commands_for(volumes, report)])


def _commands_for(volumes: tuple[OrphanVolume, ...], report: StatusReport) -> list[str]:
    """How to use each volume again, and how to delete them. `cleanup` deletes what this tool made alone."""
    program = report.access.program
    uses = [
        ("Use it again", command(f"{program} launch --region {v.region} --ebs-volume-id {v.volume_id}"))
        for v in volumes
    ]
    deletions: list[tuple[str, str]] = []
    if any(v.created_by_us and not v.kept for v in volumes):
        deletions.append(("Delete", command(f"{program} cleanup --include-ebs")))
    # A command of its own: who deletes what was left behind must not delete what somebody chose to keep.
    if any(v.created_by_us and v.kept for v in volumes):
        deletions.append(("Delete kept ones too", command(f"{program} cleanup --include-ebs --include-kept")))
    for volume in volumes:
        if not volume.created_by_us:
            words = f"aws ec2 delete-volume --region {volume.region} --volume-id {volume.volume_id}"
            deletions.append(("Delete yours", command(words)))
    return pairs([*uses, *deletions])
