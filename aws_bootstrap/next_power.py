"""The commands to type after `stop`, `start` and `rename`. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .models import Command, RenameReport, StartReport, StopReport
from .next_commands import log_in, next_commands, set_limit, terminate, use


@next_commands.register
def _after_stop(report: StopReport) -> tuple[Command, ...]:
    """Return how to start the boxes again, or to end what still bills."""
    names = [box.ssh_alias or box.instance_id for box in report.stopped]
    if not names:
        return ()
    return (own("Start", "start", *names), own("Terminate", "terminate", *names))


@next_commands.register
def _after_start(report: StartReport) -> tuple[Command, ...]:
    """Return how to use the boxes, to set a limit where there is none, and to stop them again."""
    commands: list[Command] = []
    for box in report.started:
        name = box.ssh_alias or box.instance_id
        if box.ssh_alias and len(report.started) == 1:
            commands += use(box.ssh_alias, box.user)
        elif box.ssh_alias:
            commands.append(log_in(box.ssh_alias))
        if box.deadline is None and box.idle_timeout_seconds is None:
            commands.append(set_limit(name))
        commands += [own("Stop", "stop", name), terminate(name)]
    return tuple(commands)


@next_commands.register
def _after_rename(report: RenameReport) -> tuple[Command, ...]:
    """Return how to log in by the new name, and how to give the old one back."""
    back = own("Undo", "rename", report.ssh_alias, report.previous_alias)
    return (log_in(report.ssh_alias), back)
