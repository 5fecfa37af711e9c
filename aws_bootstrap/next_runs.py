"""Which commands to type after a result of `run` or `ps`."""

from __future__ import annotations

from .command_lines import own
from .models import Command, Run, RunList, RunReport
from .next_commands import next_commands


@next_commands.register
def _after_run(report: RunReport) -> tuple[Command, ...]:
    """Return how to follow the run, and how to list all of them."""
    run = report.run
    return (*_of_run(run), own("All runs", "ps", run.ssh_alias))


@next_commands.register
def _after_ps(result: RunList) -> tuple[Command, ...]:
    """Return how to follow the newest run, or how to see its log."""
    if not result.runs:
        return ()
    newest = result.runs[-1]
    for run in result.runs:
        if run.started > newest.started:
            newest = run
    follow, log = _of_run(newest)
    return (follow, log) if newest.state == "running" else (log,)


def _of_run(run: Run) -> tuple[Command, Command]:
    """Return how to follow a run, and how to see its log."""
    words = (run.ssh_alias, run.run)
    return own("Follow it", "attach", *words), own("Its log", "logs", *words)
