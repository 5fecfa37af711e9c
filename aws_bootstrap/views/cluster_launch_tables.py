"""The tables of a launch of a cluster."""

from __future__ import annotations

from ..models import ClusterLaunchReport
from .table import Columns, Table, tables

_COLUMNS: Columns = {
    "rank": "Rank",
    "alias": "Alias",
    "instance_id": "Instance",
    "public_ip": "Address",
    "private_ip": "Private address",
    "setup": "Setup",
    "price_per_hour": "$/hour",
}


@tables.register
def cluster_launch_tables(report: ClusterLaunchReport) -> list[Table]:
    """Return the nodes."""
    return [Table(_COLUMNS, report.nodes)]
