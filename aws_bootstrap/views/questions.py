"""The questions that a person confirms before something is changed: from facts to text."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import (
    BakePlan,
    CleanupPlan,
    IngressRule,
    OnDemandOffer,
    OwnImageRow,
    QuotaIncrease,
    TerminationTarget,
    Volume,
)
from ..models.cost import UNBILLED_STATES, monthly_total
from .costs import a_month, at_most_a_month, hourly, monthly, spot_and_on_demand, sum_of
from .text import aligned, other_owner, plural, span, usd


def terminate(targets: Sequence[TerminationTarget]) -> str:
    """Return which boxes are terminated, those of a cluster in one line, and which volumes are deleted."""
    single: list[list[str]] = []
    nodes: dict[str, list[TerminationTarget]] = {}
    for target in targets:
        if target.instance.cluster:
            nodes.setdefault(target.instance.cluster, []).append(target)
        else:
            single.append(_target(target))
    lines = aligned(single)
    for cluster_id, of_cluster in nodes.items():
        lines.append(f"  {_cluster(cluster_id, of_cluster)}")
    lines += _volumes_to_delete(targets)
    lines.append(f"Terminate {plural(len(targets), 'instance')}?")
    return "\n".join(lines)


def cluster_termination(cluster_id: str, region: str, targets: Sequence[TerminationTarget]) -> str:
    """Return what of a cluster is terminated and deleted."""
    lines = [f"  What is left of the cluster {cluster_id} in {region}: what its nodes shared, which does not bill"]
    if targets:
        lines = [f"  {_cluster(cluster_id, targets)}"]
    lines += _volumes_to_delete(targets)
    lines.append(f"Terminate the cluster {cluster_id}?")
    return "\n".join(lines)


def _volumes_to_delete(targets: Sequence[TerminationTarget]) -> list[str]:
    """Return a line for each volume that goes with the boxes, and what that means."""
    lines: list[str] = []
    for target in targets:
        for volume in target.volumes:
            lines.append(f"  {volume.volume_id}  {volume.size_gb} GB  in {volume.region}")
    if lines:
        lines.insert(0, "Data volumes to delete, with all their data:")
    return lines


def _cluster(cluster_id: str, targets: Sequence[TerminationTarget]) -> str:
    """Return what a person knows a cluster by, and what its nodes have cost together."""
    types: dict[str, None] = {}
    regions: dict[str, None] = {}
    uptimes: list[int] = []
    costs: list[float | None] = []
    for target in targets:
        types[f"{target.instance.instance_type} {target.instance.lifecycle}"] = None
        regions[target.instance.region] = None
        uptimes.append(target.uptime_seconds or 0)
        costs.append(target.estimated_cost)
    facts = [f"cluster {cluster_id}: {plural(len(targets), 'node')}", ", ".join(types), f"in {', '.join(regions)}"]
    facts += [f"up {span(max(uptimes))}", sum_of(costs, "so far")]
    return "  ".join(facts)


def _target(target: TerminationTarget) -> list[str]:
    """Return what a person knows the box by, and what it has cost."""
    instance = target.instance
    return [
        target.ssh_alias or "no alias",
        instance.instance_id,
        instance.instance_type,
        instance.lifecycle,
        instance.state,
        instance.public_ip or "-",
        f"in {instance.region}",
        _uptime(target),
        _cost_so_far(target),
    ]


def _uptime(target: TerminationTarget) -> str:
    if target.instance.state in UNBILLED_STATES:
        return "-"
    if target.uptime_seconds is None:
        return "up for an unknown time"
    return f"up {span(target.uptime_seconds)}"


def _cost_so_far(target: TerminationTarget) -> str:
    if target.price_per_hour == 0:
        return "only its disks bill"
    if target.estimated_cost is None:
        return "cost so far unknown"
    return f"about {usd(target.estimated_cost)} so far"


def cleanup(plan: CleanupPlan) -> str:
    """Return what the plan changes."""
    lines: list[str] = []
    for stale in plan.stale:
        lines.append(f"  remove the alias {stale.alias} of {stale.instance_id}, which no longer exists")
    for added in plan.added:
        lines.append(f"  add the alias {added.alias} for {added.instance_id} at {added.public_ip}")
    for updated in plan.updated:
        lines.append(f"  change the address of {updated.alias} to {updated.public_ip}")
    for volume in plan.orphan_volumes:
        where = f"{volume.size_gb} GB  in {volume.region}"
        lines.append(f"  delete {volume.volume_id}  {where}, {a_month(volume.monthly_cost_usd)}")
    for group in (*plan.placement_groups, *plan.security_groups):
        lines.append(f"  delete {group.id}  in {group.region}, of the cluster {group.cluster_id}, which has no node")
    if plan.orphan_volumes:
        lines.append("The data on these volumes will be lost permanently.")
    return "\n".join([*lines, "Proceed?"])


def bake(plan: BakePlan) -> str:
    """Return what baking the box does to it, and what the image costs and contains."""
    size = f"{plan.size_gb} GB" if plan.size_gb else "an unknown size"
    lines = [
        f"  image    {plan.name} in {plan.region}, private",
        f"  disk     the root disk of {plan.box} ({plan.instance_id}), {size}",
        f"  costs    {at_most_a_month(plan.monthly_cost_usd)}, until it is removed",
    ]
    if plan.without:
        lines.append(f"  without  {', '.join(plan.without)}: no data volume is copied")
    if plan.remaining_secrets:
        lines.append("These files look like secrets, and remain in the image and in every box from it:")
        lines += [f"  {path}" for path in plan.remaining_secrets]
    lines.append(f"{plan.box} reboots now: what runs on it ends. Its disks and its limits stay.")
    return "\n".join([*lines, f"Bake {plan.box}?"])


def image_removal(rows: Sequence[OwnImageRow]) -> str:
    """Return which images are removed, and whose they are."""
    cells: list[list[str]] = []
    for row in rows:
        owner = other_owner(row.owner, row.yours)
        whose = f"owner: {owner}" if owner else "yours"
        size = f"{row.size_gb} GB, {at_most_a_month(row.monthly_cost_usd)}"
        cells.append([row.image_id, row.name, f"in {row.region}", size, whose])
    lines = aligned(cells)
    lines.append("Their snapshots are deleted. Boxes that were launched from them go on.")
    return "\n".join([*lines, f"Remove {plural(len(rows), 'image')}?"])


def open_to_world(rules: Sequence[IngressRule]) -> str:
    """Return which rules are removed though this tool did not create them."""
    lines: list[str] = []
    for rule in rules:
        note = ""
        if rule.description:
            note = f"  ({rule.description})"
        lines.append(f"  {rule.rule_id} of {rule.group_id}: port {rule.first_port} from {rule.source}{note}")
    lines.append("aws-bootstrap did not create these rules. They open the port to the whole internet.")
    return "\n".join([*lines, "Remove them, too?"])


def format_volume(name: str, volume: Volume) -> str:
    """Return which volume of which box is formatted."""
    return (
        f"Format {volume.volume_id}, {volume.size_gb} GB, the data volume of {name}?\n"
        "It is checked first and formatted only if it is empty."
    )


def quota_increases(increases: Sequence[QuotaIncrease]) -> str:
    """Return what the requests change."""
    lines: list[str] = []
    notes: list[str] = []
    for increase in increases:
        change = f"{increase.current_value:g} -> {increase.desired_value} vCPUs"
        lines.append(f"  {increase.region}  {increase.quota_name}: {change}")
        if increase.note:
            notes.append(f"  {increase.note}")
    return "\n".join([*lines, *notes, f"Send {plural(len(increases), 'request')} to AWS?"])


def on_demand(offer: OnDemandOffer) -> str:
    """Return whether to launch on-demand, with what it costs."""
    per_month = f"  Monthly  {monthly(monthly_total(offer.monthly_costs), offer.monthly_costs)}"
    first, *others = offer.prices
    if offer.count > 1:
        per_month += f"\n  These are the costs of one node. {offer.count} are launched."
    if others:
        rows = [[price.instance_type, price.region, spot_and_on_demand(price)] for price in offer.prices]
        lines = ["There is no spot capacity right now. On-demand is attempted in this order:", *aligned(rows)]
        lines += [per_month, "Launch the first of these that has capacity, on-demand?"]
        return "\n".join(lines)
    lines = [
        f"There is no spot capacity for {first.instance_type} in {first.region} right now.",
        f"  Price    {spot_and_on_demand(first)}",
        per_month,
        f"Launch on-demand at {hourly(first.on_demand_price_per_hour)}?",
    ]
    return "\n".join(lines)
