"""The values in force of every option, each with its origin: for `config show`."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..app import App
from ..models import ConfigValue
from ..models.config_report import Value
from ..settings import Settings
from .command import negative_variable
from .configured import PRESET, PRESETS, Found, in_force, of_preset, preset_names
from .keys import TOP, Entry, keys_of

_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def of_program(app: App, profile: str | None) -> list[ConfigValue]:
    """Return output, profile and region. `profile`: as typed on the command line."""
    top = in_force(app.settings, (), TOP)
    output_format = _first("output", ("AWS_BOOTSTRAP_OUTPUT",), top, default="text")
    if app.has_format and output_format.value != app.console.output_format:
        output_format = ConfigValue("output", str(app.console.output_format), "option", "--output")
    chosen = _first("profile", _PROFILE_VARIABLES, top, default=None)
    if profile is not None and profile != chosen.value:
        chosen = ConfigValue("profile", profile, "option", "--profile")
    return [output_format, chosen, _first("region", _REGION_VARIABLES, top, default=None)]


def _first(name: str, variables: Collection[str], top: Found, *, default: Value) -> ConfigValue:
    """Return the value of a key above all tables."""
    for variable in variables:
        if os.environ.get(variable):
            return ConfigValue(name, os.environ[variable], "environment", variable)
    if name in top:
        return _of_entry(top[name], name)
    return ConfigValue(name, default, "default")


def of_command(app: App, path: tuple[str, ...], command: click.Command, preset: str | None) -> list[ConfigValue]:
    """Return the value of each option of a command, of `launch` with that preset."""
    chosen: Found = {}
    if preset is not None and PRESET in [param.name for param in command.params]:
        chosen = of_preset(app.settings, preset, command)
    entries = in_force(app.settings, path, command)
    values: list[ConfigValue] = []
    # Without words and config files: what the environment sets, and the defaults.
    with command.make_context(path[-1], [], resilient_parsing=True) as ctx:
        for name, key in keys_of(command).items():
            if key.is_negative or name != _first_name(key.param):
                continue
            param = str(key.param.name)
            dotted = ".".join((*path, name))
            if param in chosen:
                values.append(ConfigValue(dotted, plain(chosen[param].shown), "preset", preset))
            else:
                values.append(_of_option(ctx, dotted, key.param, entries.get(param)))
    return values


def _first_name(param: click.Option) -> str:
    return max(param.opts, key=len).removeprefix("--")


def _of_option(ctx: click.Context, dotted: str, param: click.Option, entry: Entry | None) -> ConfigValue:
    """Return the value of an option that no preset sets."""
    if ctx.get_parameter_source(str(param.name)) is ParameterSource.ENVIRONMENT:
        return _of_variable(dotted, param)
    if entry is not None:
        return _of_entry(entry, dotted)
    return ConfigValue(dotted, plain(ctx.params.get(str(param.name))), "default")


def _of_variable(dotted: str, param: click.Option) -> ConfigValue:
    """Return the value that the environment gives an option, as it is written there."""
    for variable in (param.envvar, negative_variable(param)):
        if isinstance(variable, str) and os.environ.get(variable):
            return ConfigValue(dotted, os.environ[variable], "environment", variable)
    return ConfigValue(dotted, None, "environment")


def _of_entry(entry: Entry, dotted: str) -> ConfigValue:
    """Return a value of a config file, under the name that the file has for it."""
    key = ".".join(entry.key) or dotted
    origin = "project-file" if entry.file.is_project else "user-file"
    return ConfigValue(key, plain(entry.shown), origin, entry.file.place_of(entry.key))


def of_presets(settings: Settings, launch: click.Command) -> list[ConfigValue]:
    """Return the values of every preset."""
    values: list[ConfigValue] = []
    for name in preset_names(settings):
        for entry in in_force(settings, (PRESETS, name), launch).values():
            values.append(_of_entry(entry, ""))
    return values


def plain(value: Any) -> Value:
    """Return a value as TOML has it: whole seconds, texts for paths and tags; null for what has no value."""
    if isinstance(value, list | tuple):
        return tuple([_text(item) for item in value])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    return None


def _text(item: Any) -> str:
    if isinstance(item, tuple):
        return "=".join(item)
    return str(item)
