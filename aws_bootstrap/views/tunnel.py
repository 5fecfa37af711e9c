"""The ports that lead to a box, and what was opened, as a person reads it."""

from __future__ import annotations

from ..command_lines import shell_line
from ..models import ForwardReport, OpenReport
from ..next_commands import next_commands
from .text import heading, pairs, text, titled


@text.register
def forward_text(report: ForwardReport) -> str:
    """Return each port with where it leads; with --print the command alone, to copy."""
    if report.printed:
        return shell_line(report.command)
    lines: list[str] = []
    for port in report.ports:
        lines.append(heading(f"127.0.0.1:{port.local_port}  →  port {port.remote_port} of {report.ssh_alias}"))
    return "\n".join(lines)


@text.register
def open_text(report: OpenReport) -> str:
    """Return where the page or folder is; with --print the command alone, and the page without its token."""
    if report.printed and report.program == "jupyter":
        return "\n".join(pairs([*titled(next_commands(report)), ("Page", report.url)], indent=""))
    if report.printed:
        return shell_line(report.command)
    if report.program != "jupyter":
        return heading(f"Opened {report.ssh_alias} in {report.program}.")
    facts = [("Page", report.url), ("With its token", report.link)]
    return "\n".join([heading(f"JupyterLab of {report.ssh_alias}"), *pairs(facts)])
