"""Our boxes and the volumes that still bill."""

from __future__ import annotations

from click import style

from ..gpu import GpuInfo
from ..models import EndedBox, InstanceStatus, OrphanVolume, StatusReport
from ..models.cost import UNBILLED_STATES
from ..next_commands import next_commands, of_box, of_ended, of_orphans
from .costs import a_month, hourly, monthly, sum_of
from .limits import ends, what_stays
from .text import aligned, heading, other_owner, pairs, plural, regions_read, span, text, titled, usd

COLOURS = {"running": "green", "pending": "yellow", "stopping": "yellow", "shutting-down": "yellow", "stopped": "red"}

#: Why a box has ended, in words.
REASONS = {
    "spot-interruption": "spot interruption",
    "deadline": "its deadline",
    "idle": "no work for its idle limit",
    "cost-cap": "its --max-cost",
    "run": "a run that was to end it",
    "user": "terminated by a user",
    "unknown": "reason unknown",
}


@text.register
def status_report(report: StatusReport) -> str:
    """Return each box with its cost and commands, then orphan volumes; at the end the next command to type."""
    if report.has_no_answer:
        return ""
    parts: list[str] = []
    if not report.instances:
        parts.append(f"No instances of aws-bootstrap in {plural(regions_read(report), 'region')}.")
    elif report.in_full:
        parts += [_instance(instance, report) for instance in report.instances]
    else:
        parts.append(_brief(report))
    if report.ended:
        parts.append(ended_lines(report.ended, "Boxes that have ended"))
    if report.orphan_volumes:
        parts.append(_orphans(report.orphan_volumes))
    if report.instances or report.orphan_volumes:
        parts.append(_total(report))
    if not report.instances or not report.in_full:
        title, words = titled(next_commands(report))[-1]
        parts.append(f"{title}: {words}")
    return "\n\n".join(parts)


def _brief(report: StatusReport) -> str:
    """Return a line a box, aligned."""
    lines = [heading(plural(len(report.instances), "instance"), "cyan")]
    rows = [_brief_cells(instance) for instance in report.instances]
    begun: set[str] = set()
    for instance, line in zip(report.instances, aligned(rows, indent=""), strict=True):
        if instance.cluster and instance.cluster not in begun:
            begun.add(instance.cluster)
            lines.append(_cluster(instance.cluster, report))
        lines.append(style(line, fg=COLOURS.get(instance.state)))
    for instance in report.instances:
        lines += _brief_alias(instance)
    return "\n".join(lines)


def _cluster(cluster_id: str, report: StatusReport) -> str:
    """Return the line above the nodes of a cluster."""
    nodes = [instance for instance in report.instances if instance.cluster == cluster_id]
    price = sum_of([node.price_per_hour for node in nodes], "an hour")
    return f"cluster {cluster_id}: {plural(len(nodes), 'node')}, {price}"


def _brief_alias(instance: InstanceStatus) -> list[str]:
    """Return how to reach a box of yours that has no alias: the launch that created it did not end."""
    if instance.ssh_alias or instance.state != "running":
        return []
    commands: list[tuple[str, str]] = []
    for title, words in titled(of_box(instance, instructions=True)):
        if title == "Finish setup":
            commands.append((f"{instance.instance_id} has no alias here; add it, and finish the setup", words))
    return pairs(commands)


def _brief_cells(instance: InstanceStatus) -> list[str]:
    volumes = [f"{volume.mount_point} {volume.size_gb} GB" for volume in instance.ebs_volumes]
    return [
        instance.ssh_alias or instance.instance_id,
        instance.state,
        instance.instance_type,
        instance.lifecycle,
        instance.availability_zone,
        _up(instance),
        _brief_price(instance),
        _brief_end(instance),
        " ".join(volumes),
        _brief_owner(instance.owner, instance.yours),
    ]


def _brief_price(instance: InstanceStatus) -> str:
    """Return what the instance costs an hour; of one that does not bill, that its disks do."""
    if instance.price_per_hour == 0:
        return "its disks bill"
    return hourly(instance.price_per_hour)


def _brief_end(instance: InstanceStatus) -> str:
    """Return when the box ends by itself, in a few words."""
    if instance.state not in ("running", "pending"):
        return ""
    if instance.seconds_left is not None:
        return f"ends in {span(max(0, instance.seconds_left))}"
    if instance.idle_timeout_seconds:
        return f"ends when idle for {span(instance.idle_timeout_seconds)}"
    return ""


def _brief_owner(owner: str | None, yours: bool | None) -> str:
    """Return the owner where it is not the caller."""
    if yours:
        return ""
    return f"owner: {owner or 'nobody'}"


def _instance(instance: InstanceStatus, report: StatusReport) -> str:
    name = instance.ssh_alias or instance.instance_id
    state = style(instance.state, fg=COLOURS.get(instance.state, "white"), bold=True)
    facts = [
        ("Instance", f"{instance.instance_id}  {instance.instance_type} {instance.lifecycle}"),
        ("Cluster", _membership(instance)),
        ("Address", f"{instance.public_ip or 'none'} in {instance.availability_zone}"),
        ("GPU", _gpu_or_unknown(instance, report)),
        ("Up", _up(instance) if instance.state not in UNBILLED_STATES else None),
        ("Price", _cost(instance)),
        ("Monthly", monthly(instance.monthly_cost_usd, instance.monthly_costs)),
        ("Owner", other_owner(instance.owner, instance.yours)),
        ("Ends", _ends(instance)),
    ]
    for volume in instance.ebs_volumes:
        facts.append((volume.mount_point, f"{volume.volume_id}  {volume.size_gb} GB  {volume.state}"))
    facts += _what_stays(instance)
    if instance.state == "running" and not instance.ssh_alias:
        facts.append(("Alias", "none on this machine; `setup` adds one"))
    facts += titled(of_box(instance, instructions=report.instructions))
    return "\n".join([f"{heading(name, 'cyan')}  {state}", *pairs(facts)])


def _membership(instance: InstanceStatus) -> str | None:
    """Return the cluster and the rank of a node; None for a box of its own."""
    if instance.cluster is None:
        return None
    rank = "unknown" if instance.rank is None else instance.rank
    return f"{instance.cluster}, rank {rank}"


def _what_stays(instance: InstanceStatus) -> list[tuple[str, str]]:
    """Return what a box that ends by itself leaves, and what that costs."""
    if _ends(instance) is None or not instance.ebs_volumes:
        return []
    volume_ids = [volume.volume_id for volume in instance.ebs_volumes]
    return [("Then", what_stays(volume_ids, instance.monthly_costs))]


def _ends(instance: InstanceStatus) -> str | None:
    """Return when a box that runs ends by itself, and what its guardian sees."""
    if instance.state not in ("running", "pending"):
        return None
    end = ends(instance.deadline, instance.seconds_left, instance.idle_timeout_seconds)
    if end is None:
        return None
    idleness = instance.idleness
    if idleness is None:
        return end
    if idleness.busy:
        probes = ", ".join(f"{name}: {what}" for name, what in idleness.busy.items())
        return f"{end}; busy now ({probes})"
    end = f"{end}; idle for {span(idleness.idle_seconds)}"
    if instance.idle_timeout_seconds:
        end += f", ends in {span(max(0, instance.idle_timeout_seconds - idleness.idle_seconds))} if it stays so"
    return end


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
    if instance.state in UNBILLED_STATES:
        return "-"
    if instance.uptime_seconds is None:
        return "unknown"
    return span(instance.uptime_seconds)


def _cost(instance: InstanceStatus) -> str:
    """Return what the instance costs an hour, and has cost so far."""
    if instance.price_per_hour is None:
        return style("unknown", fg="yellow")
    if instance.price_per_hour == 0:
        return f"none while it is {instance.state}; its disks bill"
    so_far = "unknown"
    if instance.estimated_cost is not None:
        so_far = f"about {usd(instance.estimated_cost)}"
    return f"{hourly(instance.price_per_hour)}; so far {so_far}"


def _total(report: StatusReport) -> str:
    """Return what everything costs: the boxes an hour, disks and addresses a month."""
    per_hour = [instance.price_per_hour for instance in report.instances]
    per_month: list[float | None] = [volume.monthly_cost_usd for volume in report.orphan_volumes]
    for instance in report.instances:
        per_month += [cost.monthly_cost_usd for cost in instance.monthly_costs]
    facts = [
        ("Instances", sum_of(per_hour, "an hour", complete=not report.regions_failed)),
        ("Disks, addresses", sum_of(per_month, "a month", complete=not report.regions_failed)),
    ]
    return "\n".join([heading("Costs in all", "cyan"), *pairs(facts)])


def ended_lines(boxes: tuple[EndedBox, ...], title: str) -> str:
    """Return a line a box that has ended, below a title: when, and why."""
    rows: list[list[str]] = []
    for box in boxes:
        ended_at = "at an unknown time"
        if box.ended_at:
            ended_at = f"{box.ended_at:%Y-%m-%d %H:%M} UTC"
        name = box.ssh_alias or ""
        rows.append(
            [box.instance_id, name, box.region, ended_at, REASONS[box.reason], _brief_owner(box.owner, box.yours)]
        )
    commands = pairs(titled(of_ended(boxes)))
    return "\n".join([heading(title, "cyan"), *aligned(rows), *commands])


def _orphans(volumes: tuple[OrphanVolume, ...]) -> str:
    lines = [heading("Data volumes without an instance; they bill until deleted", "yellow")]
    for volume in volumes:
        cost = a_month(volume.monthly_cost_usd)
        line = f"  {volume.volume_id}  {volume.size_gb} GB  {cost}  in {volume.region}"
        if volume.kept:
            line += "  (kept)"
        owner = _brief_owner(volume.owner, volume.yours)
        if owner and volume.created_by_us:
            line += f"  ({owner})"
        lines.append(line)
    lines += pairs(titled(of_orphans(volumes)))
    return "\n".join(lines)
