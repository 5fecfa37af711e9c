"""The tables of clusters."""

from __future__ import annotations

from ..models import ClusterTermination, EndedCluster
from .table import Table, tables
from .termination_tables import ENDED_CLUSTERS, LEFT_OUT_BOXES, TERMINATIONS, termination_rows


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
