"""The commands to type after `config`, and those that name it. It adds them to those of next_commands.py."""

from __future__ import annotations

from .command_lines import own
from .models import Command, ConfigChange, ConfigReport, ConfigTrust, DryRun
from .next_commands import next_commands

__all__ = ["next_commands"]


@next_commands.register
def _after_dry_run(plan: DryRun) -> tuple[Command, ...]:
    """Return how each launch gets a limit, where this one would have none."""
    if plan.ttl_seconds or plan.idle_timeout_seconds or plan.max_cost:
        return ()
    return (own("For every launch", "config", "set", "launch.ttl", "8h"),)


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
