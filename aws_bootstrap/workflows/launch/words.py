"""The options of a launch as the words that one types: for a command that repeats it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from ...config import LaunchConfig


def option_words(config: LaunchConfig, without: Collection[str] = ()) -> list[str]:
    """Return the options of a launch as words: those that differ from their defaults, but not the fields `without`."""
    default = LaunchConfig()
    words: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in without and value != getattr(default, field.name):
            words += _option(field.name, value)
    return words


def _option(name: str, value: Any) -> list[str]:
    """Return the option of a field with this value, as words; repeated for several values."""
    option = "--" + name.replace("_", "-")
    if name == "spot":
        return ["--on-demand"]
    if value is True:
        return [option]
    values = [value]
    if isinstance(value, Mapping):
        values = [f"{key}={content}" for key, content in value.items()]
    elif isinstance(value, tuple):
        values = list(value)
    words: list[str] = []
    for one in values:
        words += [option, _text(one)]
    return words


def _text(value: Any) -> str:
    """Return the value as one types it: durations are whole seconds."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
