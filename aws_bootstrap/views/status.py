"""Our boxes and the volumes that still bill."""

from __future__ import annotations

from click import style

from ..gpu import GpuInfo
from ..invocation import PROGRAM
from ..models import InstanceStatus, OrphanVolume, StatusReport
from .text import aligned, command, connections, heading, other_owner, pairs, plural, regions_read, span, text, usd

_COLOURS = {"running": "green", "pending": "yellow", "stopping": "yellow", "shutting-down": "yellow", "stopped": "red"}


@text.register
def status_report(report: StatusReport) -> str:
    """Return each box with its cost and commands, then orphan volumes; at the end the next command to type."""
    if report.regions_failed and regions_read(report) == 0:
        return ""
    is_brief = not report.instructions and len(report.instances) > 1
    parts: list[str] = []
    if not report.instances:
        parts.append(f"No instances of aws-bootstrap in {plural(regions_read(report), 'region')}.")
    elif is_brief:
        parts.append(_brief(report))
    else:
        parts += [_instance(instance, report) for instance in report.instances]
    if report.orphan_volumes:
        parts.append(_orphans(report.orphan_volumes))
    if not report.instances:
        parts.append(f"Launch one: {command(f'{PROGRAM} launch')}")
    elif is_brief:
        parts.append(f"How to connect, addresses, costs: {command(f'{PROGRAM} status')}")
    return "\n\n".join(parts)


def _brief(report: StatusReport) -> str:
    """Return a line a box, aligned, for those who have many; above them what they cost an hour, as far as is known."""
    prices = [instance.spot_price_per_hour for instance in report.instances if instance.spot_price_per_hour]
    title = plural(len(report.instances), "instance")
    if prices:
        title += f"; spot costs {usd(sum(prices))} an hour now"
    lines = [heading(title, "cyan")]
    rows = [_brief_cells(instance) for instance in report.instances]
    for instance, line in zip(report.instances, aligned(rows, indent=""), strict=True):
        lines.append(style(line, fg=_COLOURS.get(instance.state)))
    return "\n".join(lines)


def _brief_cells(instance: InstanceStatus) -> list[str]:
    volumes = [f"{volume.mount_point} {volume.size_gb} GB" for volume in instance.ebs_volumes]
    return [
        instance.ssh_alias or instance.instance_id,
        instance.state,
        instance.instance_type,
        instance.lifecycle,
        instance.availability_zone,
        _up(instance),
        " ".join(volumes),
        _brief_owner(instance.owner, instance.yours),
    ]


def _brief_owner(owner: str | None, yours: bool | None) -> str:
    """Return the owner where it is not the caller."""
    if yours:
        return ""
    return f"owner: {owner or 'nobody'}"


def _instance(instance: InstanceStatus, report: StatusReport) -> str:
    name = instance.ssh_alias or instance.instance_id
    state = style(instance.state, fg=_COLOURS.get(instance.state, "white"), bold=True)
    facts = [
        ("Instance", f"{instance.instance_id}  {instance.instance_type} {instance.lifecycle}"),
        ("Address", f"{instance.public_ip or 'none'} in {instance.availability_zone}"),
        ("GPU", _gpu_or_unknown(instance, report)),
        ("Up", _up(instance) + _cost(instance)),
        ("Owner", other_owner(instance.owner, instance.yours)),
    ]
    for volume in instance.ebs_volumes:
        facts.append((volume.mount_point, f"{volume.volume_id}  {volume.size_gb} GB  {volume.state}"))
    if report.instructions and instance.state == "running" and instance.ssh_alias:
        facts += connections(instance.ssh_alias, instance.user)
    elif instance.state in ("running", "pending"):
        facts.append(("Terminate", command(f"{PROGRAM} terminate {name}")))
    return "\n".join([f"{heading(name, 'cyan')}  {state}", *pairs(facts)])


def _gpu_or_unknown(instance: InstanceStatus, report: StatusReport) -> str | None:
    """Return the box's GPU; `unknown` where the query failed, None where there was none."""
    for warning in report.unread_gpus:
        if warning.instance_id == instance.instance_id:
            return style("unknown", fg="yellow")
    if instance.gpu is None:
        return None
    return _gpu(instance.gpu)


def _gpu(gpu: GpuInfo) -> str:
    cuda = f"CUDA {gpu.cuda_toolkit or 'none'} installed, {gpu.cuda_driver_max or 'unknown'} at most by driver"
    return f"{gpu.name} ({gpu.architecture or 'unknown architecture'}), {cuda} {gpu.driver or ''}".rstrip()


def _up(instance: InstanceStatus) -> str:
    if instance.uptime_seconds is None:
        return "unknown"
    return span(instance.uptime_seconds)


def _cost(instance: InstanceStatus) -> str:
    if instance.spot_price_per_hour is None or instance.estimated_cost is None:
        return ""
    return f", about {usd(instance.estimated_cost)} at {usd(instance.spot_price_per_hour)}/h"


def _orphans(volumes: tuple[OrphanVolume, ...]) -> str:
    lines = [heading("Data volumes without an instance; they bill until deleted", "yellow")]
    for volume in volumes:
        line = f"  {volume.volume_id}  {volume.size_gb} GB  {usd(volume.monthly_cost_usd)}/month  in {volume.region}"
        if volume.kept:
            line += "  (kept)"
        owner = _brief_owner(volume.owner, volume.yours)
        if owner and volume.created_by_us:
            line += f"  ({owner})"
        lines.append(line)
    uses: list[tuple[str, str]] = []
    for volume in volumes:
        again = f"{PROGRAM} launch --region {volume.region} --ebs-volume-id {volume.volume_id}"
        uses.append(("Use it again", command(again)))
    lines += pairs(uses + _deletions(volumes))
    return "\n".join(lines)


def _deletions(volumes: tuple[OrphanVolume, ...]) -> list[tuple[str, str]]:
    """Return how to delete each volume. `cleanup` deletes only what this tool created."""
    has_orphans = False
    has_kept = False
    brought: list[tuple[str, str]] = []
    for volume in volumes:
        if not volume.created_by_us:
            words = f"aws ec2 delete-volume --region {volume.region} --volume-id {volume.volume_id}"
            brought.append(("Delete yours", command(words)))
        elif volume.kept:
            has_kept = True
        else:
            has_orphans = True
    deletions: list[tuple[str, str]] = []
    if has_orphans:
        deletions.append(("Delete", command(f"{PROGRAM} cleanup --include-ebs")))
    # A command of its own: who deletes what was left behind must not delete what somebody chose to keep.
    if has_kept:
        deletions.append(("Delete kept ones too", command(f"{PROGRAM} cleanup --include-ebs --include-kept")))
    return deletions + brought
