"""The tables of clusters."""

from __future__ import annotations

from dataclasses import dataclass

from ..models import ClusterList, ClusterRow, ClusterStatus, ClusterTermination, EndedCluster, NodeStatus
from .status_tables import ENDED, price
from .table import Columns, Table, tables
from .termination_tables import ENDED_CLUSTERS, LEFT_OUT_BOXES, TERMINATIONS, termination_rows
from .text import other_owner

_CLUSTERS: Columns = {
    "row.cluster_id": "Cluster",
    "region": "Region",
    "row.node_count": "Nodes",
    "price": "USD/h",
    "monthly": "USD/month",
    "owner": "Owner, if not you",
}
_NODES: Columns = {
    "node.rank": "Rank",
    "node.ssh_alias": "Alias",
    "node.instance_id": "Instance",
    "node.state": "State",
    "node.instance_type": "Type",
    "node.lifecycle": "Pricing",
    "node.az": "Zone",
    "node.private_ip": "Private address",
    "node.public_ip": "Address",
    "price": "USD/h",
    "so_far": "USD so far",
    "monthly": "USD/month",
    "node.deadline": "Deadline",
    "owner": "Owner, if not you",
}
_IN_ALL: Columns = {"0": "In all", "1": "About"}


@dataclass(frozen=True)
class ClusterCells:
    """A cluster with what it costs, and its owner; empty for the caller's own."""

    row: ClusterRow
    region: str
    price: str
    monthly: str
    owner: str


@dataclass(frozen=True)
class NodeCells:
    """A node with what it costs, and its owner; empty for the caller's own."""

    node: NodeStatus
    price: str
    so_far: str
    monthly: str
    owner: str


@tables.register
def cluster_list_tables(report: ClusterList) -> list[Table]:
    """Return the clusters."""
    rows: list[ClusterCells] = []
    for row in report.clusters:
        region = row.region or "several"
        owner = other_owner(row.owner, row.yours)
        rows.append(ClusterCells(row, region, price(row.price_per_hour), price(row.monthly_cost_usd), owner))
    return [Table(_CLUSTERS, rows)]


@tables.register
def cluster_status_tables(report: ClusterStatus) -> list[Table]:
    """Return the nodes, then those that have ended, then what is missing and what all of it costs."""
    rows: list[NodeCells] = []
    for node in report.nodes:
        owner = other_owner(node.owner, node.yours)
        cells = NodeCells(
            node,
            price=price(node.price_per_hour),
            so_far=price(node.estimated_cost),
            monthly=price(node.monthly_cost_usd),
            owner=owner,
        )
        rows.append(cells)
    shown = [Table(_NODES, rows)]
    if report.ended:
        shown.append(Table(ENDED, report.ended))
    missing = ", ".join(str(rank) for rank in report.missing_ranks) or "none"
    in_all = [
        ("missing ranks", missing),
        ("USD/h", price(report.price_per_hour)),
        ("USD so far", price(report.estimated_cost)),
        ("USD/month", price(report.monthly_cost_usd)),
    ]
    return [*shown, Table(_IN_ALL, in_all)]


@tables.register
def cluster_termination_tables(report: ClusterTermination) -> list[Table]:
    """Return the nodes, what became of what they shared, and the nodes of others."""
    ended = EndedCluster(
        report.cluster_id, report.region, report.placement_group_deleted, report.security_group_deleted
    )
    shown = [Table(TERMINATIONS, termination_rows(report.terminated)), Table(ENDED_CLUSTERS, [ended])]
    if report.left_out:
        shown.append(Table(LEFT_OUT_BOXES, report.left_out))
    return shown
