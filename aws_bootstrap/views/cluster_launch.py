"""A launch of a cluster: as planned, and as done."""

from __future__ import annotations

from ..models import ClusterDryRun, ClusterLaunchReport, ClusterNode, TypePrice
from ..next_clusters import next_commands
from .costs import hourly, monthly, spot_and_on_demand
from .limits import NEVER, ends, planned_end
from .text import aligned, heading, pairs, plural, span, text, titled


@text.register
def cluster_dry_run(plan: ClusterDryRun) -> str:
    """Return the plan and its steps."""
    nodes = f"{plan.node_count}, of which {plan.nodes_added} are added"
    if plan.min_nodes < plan.node_count:
        nodes += f"; {plan.min_nodes} are enough"
    price = TypePrice(plan.regions[0], plan.instance_type, plan.spot_price_per_hour, plan.on_demand_price_per_hour)
    facts = [
        ("Cluster", plan.cluster_id),
        ("Nodes", nodes),
        ("Region", ", ".join(plan.regions)),
        ("Zone", plan.availability_zone),
        ("Type", f"{plan.instance_type}, {plan.pricing}"),
        ("Price", f"{spot_and_on_demand(price)}, for {plural(plan.nodes_added, 'node')}"),
        ("Monthly", monthly(plan.monthly_cost_usd, plan.monthly_costs)),
        ("Placement group", plan.placement_group or "none"),
        ("Image", f"{plan.ami_name} ({plan.ami_id})"),
        ("Key pair", plan.key_name),
        ("Security group", plan.security_group or "to be created"),
        ("Ends", planned_end(plan.ttl_seconds, plan.idle_timeout_seconds, plan.max_cost, of_cluster=True)),
        *titled(next_commands(plan)),
    ]
    lines = [heading("Dry run: nothing was changed", "yellow")]
    lines += pairs(facts)
    lines += ["", "Steps:"]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"  {number}. {step}")
    return "\n".join(lines)


@text.register
def cluster_launch_report(report: ClusterLaunchReport) -> str:
    """Return the nodes and what to do with them; as much as is known where the launch failed."""
    if not report.nodes:
        return ""
    end = ends(report.deadline, report.seconds_left, report.idle_timeout_seconds)
    zone = report.availability_zone or report.region
    facts = [
        ("Nodes", f"{report.node_count}  {report.instance_type} {report.pricing} in {zone}"),
        ("Price", hourly(report.price_per_hour)),
        ("Monthly", monthly(report.monthly_cost_usd, report.monthly_costs)),
        ("Ends", end or NEVER),
    ]
    lines = [_title(report), *pairs(facts), ""]
    lines += aligned([_node(node) for node in report.nodes])
    commands = titled(next_commands(report))
    if commands:
        lines += ["", *pairs(commands)]
    return "\n".join(lines)


def _title(report: ClusterLaunchReport) -> str:
    """Return whether the cluster is ready."""
    is_set_up = all(node.setup in ("completed", "skipped") for node in report.nodes)
    has_volumes = not any(node.report and node.report.volume_error for node in report.nodes)
    if not is_set_up or not has_volumes:
        return heading(f"The launch of the cluster {report.cluster_id} is incomplete", "yellow")
    if report.nodes_added == 0:
        return heading(f"{report.cluster_id} has all its nodes already: none was added", "green")
    return heading(f"{report.cluster_id} is ready after {span(report.seconds)}", "green")


def _node(node: ClusterNode) -> list[str]:
    """Return the line of a node."""
    setup = node.setup or "not set up"
    if node.setup_failed_step:
        setup += f" at {node.setup_failed_step}"
    return [
        f"rank {node.rank}",
        node.alias or "no alias",
        node.instance_id or "-",
        node.public_ip or "no address",
        f"setup {setup}" if node.setup else setup,
    ]
