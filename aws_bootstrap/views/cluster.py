"""Clusters: which there are, the nodes of one, and what was ended."""

from __future__ import annotations

from collections.abc import Iterable

from click import style

from ..models import ClusterList, ClusterRow, ClusterStatus, ClusterTermination, NodeStatus
from ..models.cost import UNBILLED_STATES
from ..next_clusters import next_commands
from .costs import a_month, hourly, sum_of
from .limits import ends
from .status import COLOURS, ended_lines
from .terminate import shared_line, termination_lines
from .text import aligned, heading, next_lines, other_owner, pairs, plural, regions_read, span, text, titled, usd

# --- status ----------------------------------------------------------------------------------------------


@text.register
def cluster_list(report: ClusterList) -> str:
    """Return a line a cluster; how to see more of the first, or how to launch one."""
    if not report.clusters:
        lines = [f"No clusters in {plural(regions_read(report), 'region')}."]
    else:
        lines = [heading(plural(len(report.clusters), "cluster"), "cyan")]
        lines += aligned([_row(row) for row in report.clusters])
    return "\n".join([*lines, "", next_lines(next_commands(report))])


def _row(row: ClusterRow) -> list[str]:
    owner = other_owner(row.owner, row.yours)
    return [
        row.cluster_id,
        plural(row.node_count, "node"),
        f"in {row.region or 'several regions'}",
        hourly(row.price_per_hour),
        f"and {a_month(row.monthly_cost_usd)}",
        f"owner: {owner}" if owner else "",
    ]


@text.register
def cluster_status(report: ClusterStatus) -> str:
    """Return a line a node by rank, what is missing, what all of it costs, and what to do with it."""
    lines = [_title(report)]
    rows = [_node(node, report) for node in report.nodes]
    for node, line in zip(report.nodes, aligned(rows), strict=True):
        lines.append(style(line, fg=COLOURS.get(node.state)))
    facts = [("Missing", _missing(report)), *_costs(report), ("Ends", _ends(report))]
    parts = ["\n".join([*lines, *pairs(facts)])]
    if report.ended:
        parts.append(ended_lines(report.ended, "Nodes that have ended"))
    commands = titled(next_commands(report))
    if commands:
        parts.append("\n".join(pairs(commands)))
    return "\n\n".join(parts)


def _title(report: ClusterStatus) -> str:
    """Return the line above the nodes: what they have in common."""
    facts = [plural(len(report.nodes), "node")]
    facts += _distinct(f"{node.instance_type} {node.lifecycle}" for node in report.nodes)
    facts += _distinct(f"in {node.az}" for node in report.nodes)
    owners = _distinct(other_owner(node.owner, node.yours) for node in report.nodes)
    if any(owners):
        facts.append(f"owner: {', '.join(filter(None, owners))}")
    return f"{heading(f'cluster {report.cluster_id}', 'cyan')}  {'  '.join(facts)}"


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _node(node: NodeStatus, report: ClusterStatus) -> list[str]:
    """Return the cells of a node."""
    up = "-"
    if node.state not in UNBILLED_STATES and node.uptime_seconds is not None:
        up = f"up {span(node.uptime_seconds)}"
    cells = [
        "?" if node.rank is None else str(node.rank),
        node.ssh_alias or node.instance_id,
        node.state,
        node.private_ip or "-",
        node.public_ip or "-",
        up,
    ]
    if any(one.ebs_volumes for one in report.nodes):
        cells.append(" ".join(f"{volume.size_gb} GB" for volume in node.ebs_volumes))
    if len({(one.instance_type, one.az) for one in report.nodes}) > 1:
        cells += [node.instance_type, node.az]
    return cells


def _missing(report: ClusterStatus) -> str | None:
    if not report.missing_ranks:
        return None
    numbers = ", ".join(str(rank) for rank in report.missing_ranks)
    ranks = "rank" if len(report.missing_ranks) == 1 else "ranks"
    return style(f"{ranks} {numbers}", fg="yellow")


def _costs(report: ClusterStatus) -> list[tuple[str, str | None]]:
    """Return what all nodes cost."""
    if not report.nodes:
        return []
    price = sum_of([node.price_per_hour for node in report.nodes], "an hour")
    so_far = "unknown"
    if report.estimated_cost is not None:
        so_far = f"about {usd(report.estimated_cost)}"
    return [
        ("Instances", f"{price}; so far {so_far}"),
        ("Disks, addresses", sum_of([node.monthly_cost_usd for node in report.nodes], "a month")),
    ]


def _ends(report: ClusterStatus) -> str | None:
    """Return when the first node ends by itself; None where nothing ends one."""
    running = [node for node in report.nodes if node.state in ("pending", "running")]
    with_deadline = [node for node in running if node.deadline]
    first = min(with_deadline, key=_seconds_left, default=None)
    idle = [node.idle_timeout_seconds for node in running if node.idle_timeout_seconds]
    deadline = first.deadline if first else None
    return ends(deadline, first.seconds_left if first else None, min(idle, default=None))


def _seconds_left(node: NodeStatus) -> float:
    """Return what to sort nodes with a deadline by."""
    return node.seconds_left or 0.0


# --- terminate -------------------------------------------------------------------------------------------


@text.register
def cluster_termination(report: ClusterTermination) -> str:
    """Return each node with its volumes, and what became of what they shared."""
    if report.declined:
        return "Nothing was terminated."
    ended = shared_line(report.placement_group_deleted, report.security_group_deleted)
    lines: list[str] = []
    if report.terminated:
        lines.append(heading(f"Terminated the cluster {report.cluster_id}: {plural(len(report.terminated), 'node')}"))
        for node in report.terminated:
            lines += termination_lines(node)
    elif ended:
        lines.append(heading(f"Removed what was left of the cluster {report.cluster_id} in {report.region}"))
    else:
        lines.append(f"Nothing is left of the cluster {report.cluster_id} in {report.region}.")
    if ended:
        lines.append(f"  {ended}")
    *_, (title, status) = titled(next_commands(report))
    return "\n".join([*lines, f"{title}: {status}"])
