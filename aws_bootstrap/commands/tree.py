"""All commands that have a table in the config files, loaded: for `config`, which reads every table."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..settings import Settings
from ..settings_file import SettingsFile
from . import COMMANDS, load
from .command import Command
from .configured import PRESETS, WITHOUT_TABLE, check, in_force, preset_names
from .keys import TOP, entries_of, keys_of, unknown_key

Tables = dict[tuple[str, ...], click.Command]


def tables() -> Tables:
    """Return the commands by the paths of their tables."""
    found: Tables = {}
    for name in COMMANDS:
        command = None
        if name not in WITHOUT_TABLE:
            command = load(name)
        if command is not None:
            found |= dict(_below(command, (name,)))
    return found


def _below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the command, or those of a group, that have a table."""
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                inner = command.get_command(ctx, name)
                if inner is not None:
                    yield from _below(inner, (*path, name))
    elif isinstance(command, Command) and command.has_table:
        yield path, command


def check_all(settings: Settings) -> None:
    """Check every key and value of both files. UsageError for the first that is wrong."""
    check(settings)
    known = tables()
    for file in settings.files():
        check_tables(file, known)
    for path, command in known.items():
        in_force(settings, path, command)
    for name in preset_names(settings):
        in_force(settings, (PRESETS, name), known[("launch",)])


def check_tables(file: SettingsFile, known: Tables) -> None:
    """Check every table of one file against the options of its command. UsageError for the first that is wrong."""
    for name in file.table((PRESETS,)):
        entries_of(file, (PRESETS, name), known[("launch",)])
    for path, command in known.items():
        entries_of(file, path, command)
        if len(path) == 2:
            _check_group(file, path[0], known)


def _check_group(file: SettingsFile, group: str, known: Tables) -> None:
    """Check that the table of a group has tables of its commands alone."""
    names = [path[1] for path in known if path[0] == group and len(path) == 2]
    for name in file.table((group,)):
        if name not in names:
            raise unknown_key(file, (group, name), names)
        file.table((group, name))


def key_names() -> list[str]:
    """Return every key that the user's file may have, but those of presets."""
    names = list(keys_of(TOP))
    for path, command in tables().items():
        for name in keys_of(command):
            names.append(".".join((*path, name)))
    return names
