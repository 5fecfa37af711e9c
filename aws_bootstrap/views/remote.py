"""Commands on boxes, their logs and their runs, as a person reads them."""

from __future__ import annotations

from ..models import AttachReport, ExecReport, LogReport, Run, RunList, RunReport, SshReport
from ..next_commands import next_commands
from .text import aligned, heading, next_lines, pairs, plural, span, text

#: Of a command's line in a list.
_LONGEST_COMMAND = 60


@text.register
def printed(result: SshReport | LogReport | AttachReport) -> str:
    """Return what the box has printed, unless it was shown as it came."""
    return (result.output or "").rstrip("\n")


@text.register
def printed_by_all(report: ExecReport) -> str:
    """Return what the boxes have printed, unless it was shown as it came."""
    lines: list[str] = []
    for result in report.results:
        for line in (result.output or "").splitlines():
            lines.append(f"{result.ssh_alias}: {line}")
    return "\n".join(lines)


@text.register
def started(report: RunReport) -> str:
    """Return the run, and how to follow it."""
    run = report.run
    lines = [
        heading(f"Run {run.run} has started on {run.ssh_alias}."),
        *pairs([("Command", run.command), ("Folder", run.folder), ("Then", _then(run))]),
        next_lines(next_commands(report)),
    ]
    return "\n".join(lines)


def _then(run: Run) -> str | None:
    if run.then is None:
        return None
    return "the box is terminated"


@text.register
def run_list(result: RunList) -> str:
    """Return a line for each run."""
    if not result.runs:
        if not result.boxes:
            return "No box of yours is running." if not result.boxes_failed else ""
        return f"No runs on {', '.join(result.boxes)}."
    rows = [("Box", "Run", "State", "Started", "Runtime", "Command")]
    for run in result.runs:
        runtime = "?" if run.runtime_seconds is None else span(run.runtime_seconds)
        rows.append((run.ssh_alias, run.run, state_of(run), f"{run.started:%m-%d %H:%M} UTC", runtime, _short(run)))
    title = heading(f"{plural(len(result.runs), 'run')}")
    return "\n".join([title, *aligned(rows), next_lines(next_commands(result))])


def state_of(run: Run) -> str:
    """Return whether it runs, or how it ended."""
    if run.state == "exited":
        return f"exited {run.exit_code}"
    return run.state


def _short(run: Run) -> str:
    """Return the command in a part of a line."""
    line = " ".join(run.command.split())
    if len(line) > _LONGEST_COMMAND:
        return line[: _LONGEST_COMMAND - 1] + "…"
    return line
