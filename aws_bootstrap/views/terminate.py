"""What was ended, and what stays."""

from __future__ import annotations

from ..models import TerminateReport, Termination
from .text import command, heading, plural, text


@text.register
def _(report: TerminateReport) -> str:
    """Each instance with its volumes; how to use the kept ones again."""
    if not report.terminated:
        if report.declined:
            return "Nothing was terminated."
        every = command(f"{report.access.program} status")
        return f"Nothing of ours to terminate in {report.region}. Every region: {every}"
    lines = [heading(f"Terminated {plural(len(report.terminated), 'instance')}")]
    for ended in report.terminated:
        lines += _ended(ended, report)
    return "\n".join(lines)


def _ended(ended: Termination, report: TerminateReport) -> list[str]:
    alias = f"  alias {ended.ssh_alias_removed} removed" if ended.ssh_alias_removed else ""
    lines = [f"  {ended.instance_id}  {ended.previous_state} -> {ended.current_state}  in {ended.region}{alias}"]
    lines += [f"    {volume} deleted" for volume in ended.ebs_volumes_deleted or ()]
    for volume in ended.ebs_volumes_kept or ():
        again = f"{report.access.program} launch --region {ended.region} --ebs-volume-id {volume}"
        lines.append(f"    {volume} kept; use it again: {command(again)}")
    return lines
