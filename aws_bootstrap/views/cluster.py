"""Clusters: what was ended."""

from __future__ import annotations

from ..models import ClusterTermination
from .terminate import shared_line, termination_lines
from .text import heading, plural, text


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
    return "\n".join(lines)
