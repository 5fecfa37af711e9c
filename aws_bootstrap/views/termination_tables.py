"""The tables of a termination."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..models import TerminateReport, Termination
from .costs import a_month
from .table import Columns, Table, tables

TERMINATIONS: Columns = {
    "ended.instance_id": "Instance",
    "ended.region": "Region",
    "ended.previous_state": "Was",
    "ended.current_state": "Now",
    "ended.ssh_alias_removed": "Alias removed",
    "ended.ebs_volumes_deleted": "Volumes deleted",
    "kept": "Volumes kept",
}
ENDED_CLUSTERS: Columns = {
    "cluster_id": "Cluster without nodes",
    "region": "Region",
    "placement_group_deleted": "Placement group deleted",
    "security_group_deleted": "Security group deleted",
}
LEFT_OUT_BOXES: Columns = {
    "instance_id": "Left out, not yours",
    "region": "Region",
    "owner": "Owner",
    "price_per_hour": "USD/h",
}


@dataclass(frozen=True)
class TerminationRow:
    """A termination, and the volumes that it kept, one a line, with what they cost."""

    ended: Termination
    kept: str


def termination_rows(terminations: Iterable[Termination]) -> list[TerminationRow]:
    """Return a row for each termination."""
    rows: list[TerminationRow] = []
    for ended in terminations:
        kept: list[str] = []
        for volume in ended.kept_volumes or ():
            kept.append(f"{volume.volume_id} {volume.size_gb} GB {a_month(volume.monthly_cost_usd)}")
        rows.append(TerminationRow(ended, "\n".join(kept)))
    return rows


@tables.register
def terminate_tables(report: TerminateReport) -> list[Table]:
    """Return what was terminated; where nothing was, the region that was looked at; then what is left out."""
    shown = [Table({"0": f"Instances in {report.region}"}, [("(none)",)])]
    if report.terminated or not report.region:
        shown = [Table(TERMINATIONS, termination_rows(report.terminated))]
    if report.clusters:
        shown.append(Table(ENDED_CLUSTERS, report.clusters))
    if report.left_out:
        shown.append(Table(LEFT_OUT_BOXES, report.left_out))
    return shown
