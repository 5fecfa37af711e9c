"""The keys of the config files: the long names of the commands' options, and their values by the options' own types."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import click

from ..console import OutputFormat
from ..errors import UsageError
from ..settings_file import SettingsFile, printable
from .params import REGION, Duration, Price

#: Options of every command, and those of one run alone: a file that confirms or chooses a preset would act unseen.
_NO_KEYS = {"debug", "help", "output", "preset", "profile", "timings", "yes"}

#: The keys above all tables.
TOP = click.Command(
    "",
    params=[
        click.Option(["--output"], type=click.Choice(list(OutputFormat), case_sensitive=False)),
        click.Option(["--profile"]),
        click.Option(["--region"], type=REGION),
    ],
)


class Key(NamedTuple):
    """An option as a config file names it."""

    param: click.Option
    #: Whether it is the second name of a switch, such as `on-demand`.
    is_negative: bool


class Entry(NamedTuple):
    """A value of a config file."""

    file: SettingsFile
    #: Its table and name there.
    key: tuple[str, ...]
    param: click.Option
    #: As the file has it, as Click takes it, and as the command gets it.
    shown: Any
    raw: Any
    value: Any


def keys_of(command: click.Command) -> dict[str, Key]:
    """Return the keys of a command's table, by their names."""
    hidden: Collection[str] = () if command is TOP else _NO_KEYS
    keys: dict[str, Key] = {}
    for param in command.params:
        if not isinstance(param, click.Option) or param.name in hidden:
            continue
        for name in _long_names(param.opts):
            keys[name] = Key(param, is_negative=False)
        for name in _long_names(param.secondary_opts):
            keys[name] = Key(param, is_negative=True)
    return keys


def _long_names(options: Sequence[str]) -> list[str]:
    return [option.removeprefix("--") for option in options if option.startswith("--")]


def entries_of(file: SettingsFile, table: tuple[str, ...], command: click.Command) -> dict[str, Entry]:
    """Return what a table of the file sets, by the parameters' names. UsageError for a wrong key or value."""
    keys = keys_of(command)
    found: dict[str, Entry] = {}
    for name, shown in file.table(table).items():
        if table == () and isinstance(shown, Mapping):
            continue  # a table, checked by its command
        key = keys.get(name)
        if key is None:
            raise unknown_key(file, (*table, name), keys)
        other = found.get(str(key.param.name))
        if other is not None:
            raise file.error((*table, name), f"it is the same option as {other.key[-1]}. Keep one of them.")
        found[str(key.param.name)] = entry_of(file, (*table, name), key, shown, command)
    return found


def unknown_key(file: SettingsFile, key: Sequence[str], known: Collection[str]) -> UsageError:
    """Return the error for a key that does not exist, with the nearest one that does."""
    name = key[-1]
    if name == "yes":
        return file.error(key, "no config file can confirm. Pass --yes on the command line.")
    if name == "preset":
        return file.error(key, "a preset is chosen for each launch: launch --preset NAME.")
    return file.error(key, f"there is no such key.{nearest(name, known)}")


def nearest(name: str, known: Collection[str]) -> str:
    """Return a sentence with the known name that is most like this one, after a space; empty where none is."""
    from difflib import get_close_matches

    similar = get_close_matches(name.replace("_", "-"), known, n=1)
    if not similar:
        return ""
    return f" Did you mean {similar[0]}?"


def entry_of(file: SettingsFile, path: tuple[str, ...], key: Key, shown: Any, command: click.Command) -> Entry:
    """Return the entry of this value. UsageError unless the option's own type takes it."""
    param = key.param
    raw = _as_click_takes_it(file, path, key, shown)
    try:
        value = param.type_cast_value(click.Context(command), raw)
    except click.UsageError as exc:
        raise file.error(path, printable(" ".join(exc.message.split()))) from exc
    return Entry(file, path, param, shown, raw, value)


def _as_click_takes_it(file: SettingsFile, path: tuple[str, ...], key: Key, shown: Any) -> Any:
    """Return the value as one types it: a text, or several; of a switch whether its first name is on."""
    param = key.param
    if param.is_flag:
        if not isinstance(shown, bool):
            raise file.error(path, "it must be true or false.")
        return shown is not key.is_negative
    if not param.multiple:
        return _typed(file, path, param, shown)
    items = shown
    if not isinstance(items, list):
        items = [items]
    return [_typed(file, path, param, item) for item in items]


def _typed(file: SettingsFile, path: tuple[str, ...], param: click.Option, shown: Any) -> str:
    """Return a single value as text. UsageError for a value of a wrong TOML type."""
    types, name = _toml_types(param)
    if isinstance(shown, bool) or not isinstance(shown, types):
        raise file.error(path, f"it must be {name}, not {printable(repr(shown))}.")
    text = str(shown)
    if isinstance(param.type, click.Path):
        return _path_from(file, text)
    return text


def _toml_types(param: click.Option) -> tuple[tuple[type, ...], str]:
    """Return which TOML types an option takes, and how a sentence names them."""
    if isinstance(param.type, Price):
        return (int, float), "a number"
    if isinstance(param.type, Duration):
        return (str, int), 'a duration, such as "8h"'
    if isinstance(param.type, click.types.IntParamType):
        return (int,), "a whole number"
    return (str,), "a text in quotes"


def _path_from(file: SettingsFile, text: str) -> str:
    """Return a path that a config file names: a relative one begins at the folder of that file."""
    return os.path.join(os.path.dirname(file.path), os.path.expanduser(text))
