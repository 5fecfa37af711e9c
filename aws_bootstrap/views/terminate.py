"""What was ended, and what stays."""

from __future__ import annotations

from ..models import TerminateReport, Termination
from ..next_commands import next_commands, of_kept
from .costs import a_month
from .text import heading, plural, text, titled


@text.register
def terminate_report(report: TerminateReport) -> str:
    """Return each instance with its volumes; how to use the kept ones again."""
    if not report.terminated:
        return _nothing(report)
    lines = [heading(f"Terminated {plural(len(report.terminated), 'instance')}")]
    for ended in report.terminated:
        lines += termination_lines(ended)
    for cluster in report.clusters or ():
        outcome = shared_line(cluster.placement_group_deleted, cluster.security_group_deleted)
        lines.append(f"  cluster {cluster.cluster_id} has no node any more  {outcome}".rstrip())
    return "\n".join(lines)


def _nothing(report: TerminateReport) -> str:
    if report.declined:
        return "Nothing was terminated."
    lines = [f"No boxes to terminate in {report.region}."]
    if report.left_out:
        others = plural(len(report.left_out), "box belongs", "boxes belong")
        lines = [f"No boxes of yours to terminate in {report.region}. {others} to others or to nobody."]
    for title, words in titled(next_commands(report)):
        lines.append(f"{title}: {words}")
    return "\n".join(lines) if report.left_out else " ".join(lines)


def termination_lines(ended: Termination) -> list[str]:
    """Return what became of a box, and of its volumes."""
    line = f"  {ended.instance_id}  {ended.previous_state} -> {ended.current_state}  in {ended.region}"
    if ended.ssh_alias_removed:
        line += f"  alias {ended.ssh_alias_removed} removed"
    lines = [line]
    for volume in ended.ebs_volumes_deleted or ():
        lines.append(f"    {volume} deleted")
    for kept, (_, again) in zip(ended.kept_volumes or (), titled(of_kept(ended)), strict=True):
        cost = a_month(kept.monthly_cost_usd)
        lines.append(f"    {kept.volume_id} kept, {kept.size_gb} GB, {cost}; use it again: {again}")
    return lines


def shared_line(placement_group_deleted: bool | None, security_group_deleted: bool | None) -> str:
    """Return what became of what the nodes of a cluster shared; empty where there was nothing."""
    outcomes: list[str] = []
    for name, deleted in (("placement group", placement_group_deleted), ("security group", security_group_deleted)):
        if deleted is not None:
            outcomes.append(f"{name} deleted" if deleted else f"{name} not deleted")
    return ", ".join(outcomes)
