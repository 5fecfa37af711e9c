"""What was ended, and what stays."""

from __future__ import annotations

from ..invocation import PROGRAM
from ..models import TerminateReport, Termination
from .text import command, heading, plural, text


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
    every = command(f"{PROGRAM} status")
    if not report.left_out:
        return f"No boxes to terminate in {report.region}. Boxes of every region: {every}"
    others = plural(len(report.left_out), "box belongs", "boxes belong")
    all_of_them = command(f"{PROGRAM} terminate --everyone --region {report.region}")
    return f"No boxes of yours to terminate in {report.region}. {others} to others or to nobody: {all_of_them}"


def _ended(ended: Termination) -> list[str]:
    line = f"  {ended.instance_id}  {ended.previous_state} -> {ended.current_state}  in {ended.region}"
    if ended.ssh_alias_removed:
        line += f"  alias {ended.ssh_alias_removed} removed"
    lines = [line]
    for volume in ended.ebs_volumes_deleted or ():
        lines.append(f"    {volume} deleted")
    for volume in ended.ebs_volumes_kept or ():
        again = f"{PROGRAM} launch --region {ended.region} --ebs-volume-id {volume}"
        lines.append(f"    {volume} kept; use it again: {command(again)}")
    return lines
