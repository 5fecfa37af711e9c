"""The commands to type after `config`. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .models import Command, ConfigChange, ConfigReport, ConfigTrust
from .next_commands import next_commands

__all__ = ["next_commands"]


@next_commands.register
def _after_config_show(report: ConfigReport) -> tuple[Command, ...]:
    """Return how to trust an ignored file, and how to create one where there is none."""
    commands: list[Command] = []
    states = {file.scope: file.state for file in report.files}
    if states.get("project") == "ignored":
        commands.append(own("See the project's keys, and trust them", "config", "trust"))
    if states.get("user") == "missing":
        commands.append(own("Create your file", "config", "init"))
    return tuple(commands)


@next_commands.register
def _after_config_change(change: ConfigChange) -> tuple[Command, ...]:
    """Return how to trust a file that is not trusted, and how to see what is in force."""
    commands: list[Command] = []
    if change.trusted is False:
        commands.append(own("See its keys, and trust it", "config", "trust"))
    return (*commands, own("See the values in force", "config", "show"))


@next_commands.register
def _after_config_trust(report: ConfigTrust) -> tuple[Command, ...]:
    """Return how to see what is in force now."""
    if not report.trusted:
        return ()
    return (own("See the values in force", "config", "show"),)
