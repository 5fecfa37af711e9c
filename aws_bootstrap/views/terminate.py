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
        lines += _ended(ended)
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


def _ended(ended: Termination) -> list[str]:
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
