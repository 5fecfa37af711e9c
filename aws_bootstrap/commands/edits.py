"""What `config set` writes: a key and words become a table, a name and a value of the option's own type."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..errors import UsageError
from ..invocation import PROGRAM
from ..settings_file import SettingsFile
from ..workflows.config_edit import Edit
from . import tree
from .configured import PRESETS, check_file
from .keys import TOP, Key, entries_of, keys_of, nearest
from .params import Duration, Price

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def edit_of(key: str, words: Sequence[str]) -> tuple[Edit, Callable[[SettingsFile], None]]:
    """Return what to write for these words, and what raises UsageError for a file that must not be written.

    UsageError for a key that does not exist.
    """
    *names, name = key.split(".")
    table = tuple(names)
    command = _command_of(table, key)
    keys = keys_of(command)
    if name not in keys and name != "yes":
        shown = [".".join((*table, known)) for known in keys]
        raise UsageError(f"There is no key {key}.{_with_its_command(key) or nearest(key, shown)}", code="config")

    def check(file: SettingsFile) -> None:
        check_file(file)
        try:
            entries_of(file, table, command)
        except UsageError as exc:
            raise _of_new_value(exc, key) from exc

    if name == "yes":
        raise UsageError("yes: no config file can confirm. Pass --yes on the command line.", code="config")
    others = tuple(other for other, known in keys.items() if known.param is keys[name].param and other != name)
    return Edit(table, name, _value(key, keys[name], words), others), check


def _with_its_command(key: str) -> str:
    """Return the question whether the key of a command was meant by its option alone; empty where none has it."""
    for known in tree.key_names():
        if known.rpartition(".")[2] == key:
            return f" Did you mean {known}?"
    return ""


def _of_new_value(error: UsageError, key: str) -> UsageError:
    """Return the error without the place in a file that was not written, if it is about this key's value."""
    place, sign, problem = str(error).partition(f": {key}: ")
    if not sign:
        return error
    words = key.split(".")[:-1]
    if words[:1] == [PRESETS]:
        words = ["launch"]
    hint = f"The file was not changed. See what the options take: {' '.join([PROGRAM, *words])} --help"
    return UsageError(f"{key}: {problem}", hint=hint, code=error.code)


def _command_of(table: tuple[str, ...], key: str) -> click.Command:
    """Return the command whose options are in this table. UsageError if there is none."""
    if table == ():
        return TOP
    known = tree.tables()
    if table[0] == PRESETS and len(table) == 2 and table[1]:
        return known[("launch",)]
    if table not in known:
        raise UsageError(f"There is no key {key}.{nearest(key, tree.key_names())}", code="config")
    return known[table]


def _value(key: str, named: Key, words: Sequence[str]) -> Any:
    """Return the words as TOML has them. What is no value of the option is refused by the check of the file."""
    param = named.param
    if param.multiple:
        return list(words)
    if len(words) != 1:
        raise UsageError(f"{key} takes one value, not {len(words)}.", code="config")
    word = words[0]
    if param.is_flag:
        return _WORDS.get(word.lower(), word)
    if isinstance(param.type, Price | click.types.IntParamType | Duration):
        for number in (int, float):
            with contextlib.suppress(ValueError):
                return number(word)
    return word
