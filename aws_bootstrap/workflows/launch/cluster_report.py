"""The report of a complete or broken launch of a cluster, and the plan of one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from ...models import ClusterDryRun, ClusterLaunchReport, ClusterNode, MonthlyCost
from ...models.cost import monthly_total, total
from ...models.facts import seconds_until
from .cluster_plan import ClusterPlan
from .plan import LaunchPlan
from .report import report
from .state import Launch, Node


def cluster_report(launch: Launch) -> ClusterLaunchReport:
    """Return the cluster as the launch left it, with what is known so far."""
    cluster = launch.cluster
    nodes = [_node(launch, node) for node in launch.nodes if node.instance]
    first = report(launch)
    deadlines = [node.instance.deadline for node in launch.nodes if node.instance and node.instance.deadline]
    deadline = min(deadlines, default=None)
    return ClusterLaunchReport(
        cluster_id=cluster.cluster_id,
        region=launch.region_plan.region,
        availability_zone=first.availability_zone,
        placement_group=launch.placement_groups.get(launch.region_plan.region),
        nodes_added=sum(not node.existing for node in nodes),
        node_count=len(nodes),
        nodes=tuple(nodes),
        instance_type=launch.instance_type,
        pricing=first.pricing,
        ami_id=first.ami_id,
        regions_tried=first.regions_tried,
        regions_failed=first.regions_failed,
        price_per_hour=total(node.price_per_hour for node in nodes),
        monthly_cost_usd=total([node.monthly_cost_usd for node in nodes], digits=2),
        monthly_costs=_monthly_costs(nodes),
        deadline=deadline,
        idle_timeout_seconds=first.idle_timeout_seconds,
        requested=cluster.size,
        other_resources=tuple(launch.other_resources),
        user=first.user,
        seconds=time.monotonic() - launch.began,
        seconds_left=seconds_until(deadline, datetime.now(UTC)),
    )


def _node(launch: Launch, node: Node) -> ClusterNode:
    """Return one node of the report, from the report of its launch as a box."""
    known = report(launch, node)
    return ClusterNode(
        rank=node.rank or 0,
        instance_id=known.instance_id,
        public_ip=known.public_ip,
        alias=known.ssh_alias,
        private_ip=node.instance.private_ip if node.instance else None,
        setup=known.setup,
        setup_failed_step=known.setup_failed_step,
        setup_failed_reason=known.setup_failed_reason,
        setup_failed_output=known.setup_failed_output,
        cuda_version=known.cuda_version,
        ebs_volume=known.ebs_volume,
        existing=node.existing,
        price_per_hour=known.price_per_hour,
        monthly_cost_usd=known.monthly_cost_usd,
        report=known,
    )


def cluster_dry_run(plan: LaunchPlan, cluster: ClusterPlan) -> ClusterDryRun:
    """Return the plan as a result. Its costs are those of all nodes that would be added."""
    box = plan.dry_run()
    count = plan.count
    placement_group = None
    if any(cluster.supports_placement(known) for known in plan.first.types.values()):
        placement_group = cluster.name
    monthly_costs = tuple(_times(cost, count) for cost in plan.monthly_costs)
    return ClusterDryRun(
        cluster_id=cluster.cluster_id,
        node_count=cluster.size,
        nodes_added=count,
        ranks=cluster.missing,
        min_nodes=cluster.least,
        placement_group=placement_group,
        instance_type=box.instance_type,
        ami_id=box.ami_id,
        ami_name=box.ami_name,
        pricing=box.pricing,
        key_name=box.key_name,
        security_group=box.security_group,
        volume_size_gb=box.volume_size_gb,
        regions=box.regions,
        wait=box.wait,
        wait_timeout_seconds=box.wait_timeout_seconds,
        steps=plan.steps,
        node_price_per_hour=box.price_per_hour,
        price_per_hour=_product(box.price_per_hour, count),
        spot_price_per_hour=_product(box.spot_price_per_hour, count),
        on_demand_price_per_hour=_product(box.on_demand_price_per_hour, count),
        monthly_cost_usd=monthly_total(monthly_costs),
        monthly_costs=monthly_costs,
        availability_zone=box.availability_zone,
        ebs_storage=box.ebs_storage,
        ttl_seconds=box.ttl_seconds,
        idle_timeout_seconds=box.idle_timeout_seconds,
        max_cost=box.max_cost,
        regions_failed=box.regions_failed,
    )


def _monthly_costs(nodes: Sequence[ClusterNode]) -> tuple[MonthlyCost, ...]:
    """Return what the disks and addresses of the nodes cost a month, those of one item together."""
    by_item: dict[str, list[MonthlyCost]] = {}
    for node in nodes:
        for cost in node.report.monthly_costs if node.report else ():
            by_item.setdefault(cost.item, []).append(cost)
    costs: list[MonthlyCost] = []
    for item, same in by_item.items():
        sizes = [cost.size_gb for cost in same if cost.size_gb is not None]
        of_all = total([cost.monthly_cost_usd for cost in same], digits=2)
        costs.append(MonthlyCost(f"{len(same)} × {item}", of_all, sum(sizes) if sizes else None))
    return tuple(costs)


def _times(cost: MonthlyCost, count: int) -> MonthlyCost:
    """Return what so many of the items cost a month."""
    item = f"{count} × {cost.item}"
    size_gb = cost.size_gb * count if cost.size_gb is not None else None
    return MonthlyCost(item, _product(cost.monthly_cost_usd, count, digits=2), size_gb)


def _product(price: float | None, count: int, *, digits: int = 6) -> float | None:
    """Return the price of so many; None if that of one is unknown."""
    if price is None:
        return None
    return round(price * count, digits)
