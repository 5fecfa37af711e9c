"""The commands to type after those of `cluster`. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .models import ClusterTermination, Command
from .next_commands import next_commands, of_kept


@next_commands.register
def _after_termination(report: ClusterTermination) -> tuple[Command, ...]:
    """Return how to use the volumes that were kept, and where all boxes are."""
    commands: list[Command] = []
    for ended in report.terminated:
        commands += of_kept(ended)
    return (*commands, own("What still bills", "status"))
