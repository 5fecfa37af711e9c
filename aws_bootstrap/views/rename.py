"""A box with its new name."""

from __future__ import annotations

from ..models import RenameReport
from ..next_commands import next_commands
from .text import heading, pairs, text, titled


@text.register
def rename_report(report: RenameReport) -> str:
    """Return the new name, and how to use it."""
    title = heading(f"{report.previous_alias} is {report.ssh_alias} from now on")
    return "\n".join([title, *pairs([("Instance", report.instance_id), *titled(next_commands(report))])])
