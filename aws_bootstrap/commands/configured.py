"""The values of the config files for a command: the project's over the user's, but for what a project may not set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource

from .. import output
from ..app import App
from ..console import OutputFormat
from ..errors import BootstrapError, UsageError
from ..invocation import PROGRAM
from ..settings import Caution, Settings
from ..settings_file import SettingsFile, printable
from . import COMMANDS
from .keys import TOP, Entry, entries_of, entry_of, keys_of, nearest, unknown_key

#: The table of the presets, each a table with options of `launch`; and the option that names one.
PRESETS = "presets"
PRESET = "preset"
#: Commands without a table: they set up the program itself.
WITHOUT_TABLE = {"completion", "config", "sandbox"}

#: What no project may set, however far it is trusted: who reaches the box, what runs on it, as whom, and which key
#: opens it; what ends or deletes more than was named; and which file of yours is overwritten.
BANNED = {
    "ami-filter",
    "everyone",
    "format-volume",
    "image",
    "include-ebs",
    "include-kept",
    "metadata-hop-limit",
    "never",
    "plot",
    "profile",
    "security-group",
    "setup-script",
    "ssh-cidr",
    "then",
}
_BANNED_PREFIX = "key-"
#: What a project may only lower: what ends the box, and what it may cost.
LIMITS = ("ttl", "idle_timeout", "max_cost", "max_price")
#: Options that exclude each other: one that is set closer to the command line removes the other.
_EXCLUSIVE = {"ebs_storage": "ebs_volume_id", "ebs_volume_id": "ebs_storage"}
#: Variables by which AWS's own programs choose an account: any of them is above the profile of a config file.
_ACCOUNT = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID")

Found = dict[str, Entry]


# --- what a command is given -----------------------------------------------------------------------------


def default_of(app: App | None, table: tuple[str, ...], command: click.Command, name: str) -> Any:
    """Return the value of the config files for a parameter, as Click takes it; None if they have none."""
    if app is None:
        return None
    entry = in_force(app.settings, table, command).get(name)
    return entry.raw if entry else None


def adopt(app: App) -> None:
    """Set what the config files have for every command, where the command line and the environment have nothing."""
    settings = app.settings
    check(settings)
    top = in_force(settings, (), TOP)
    if "output" in top and not app.has_format:
        app.console.output_format = OutputFormat(top["output"].value)
    if "profile" in top and app.profile is None and not any(os.environ.get(name) for name in _ACCOUNT):
        app.profile = top["profile"].value
    if "region" in top:
        app.region = top["region"].value
    for code, message in settings.notices:
        output.warn(message, code=code)
    settings.notices.clear()


def adopt_format(app: App) -> None:
    """Show the error of a command in the format of the config files, where nothing else chooses one."""
    if app.has_format or app.console.has_document:
        return
    with contextlib.suppress(BootstrapError):
        top = in_force(app.settings, (), TOP)
        if "output" in top:
            app.console.output_format = OutputFormat(top["output"].value)


def apply_preset(ctx: click.Context, app: App | None, table: tuple[str, ...]) -> None:
    """Set the parameters that the preset has, if one is named: it is just below what names it.

    A typed preset is above the environment, one of the environment below the other variables. Of two options that
    exclude each other, the one of a config file is removed.
    """
    preset: Found = {}
    name = ctx.params.get(PRESET)
    if name and app is not None:
        preset = of_preset(app.settings, str(name), ctx.command)
    above = {ParameterSource.COMMANDLINE, ctx.get_parameter_source(PRESET)}
    for param_name, entry in preset.items():
        rival = _EXCLUSIVE.get(param_name, param_name)
        if ctx.get_parameter_source(param_name) in above or ctx.get_parameter_source(rival) in above:
            continue
        ctx.params[param_name] = entry.value
        ctx.set_parameter_source(param_name, ParameterSource.DEFAULT_MAP)
        if rival not in preset:
            ctx.params[rival] = None
    _drop_excluded(ctx)


def _drop_excluded(ctx: click.Context) -> None:
    """Remove the value of a config file that excludes one of the command line or the environment."""
    for name, rival in _EXCLUSIVE.items():
        if ctx.params.get(name) is None or ctx.params.get(rival) is None:
            continue
        is_configured = ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
        if is_configured and ctx.get_parameter_source(rival) is not ParameterSource.DEFAULT_MAP:
            ctx.params[name] = None


# --- the files together ----------------------------------------------------------------------------------


def in_force(settings: Settings, table: tuple[str, ...], command: click.Command) -> Found:
    """Return the entries of both files for a command, by parameter. UsageError for a key or value that is wrong."""
    check(settings)
    if table not in settings.found:
        settings.found[table] = _together(settings, table, command)
    found: Found = settings.found[table]
    return found


def of_preset(settings: Settings, name: str, command: click.Command) -> Found:
    """Return the entries of a preset. UsageError if no file has it."""
    known = preset_names(settings)
    if name in known:
        return in_force(settings, (PRESETS, name), command)
    hint = f"Presets: {', '.join(known)}"
    if not known:
        hint = f"There are no presets. See: {PROGRAM} config show"
    if settings.ignored:
        hint += f"\nA project file is ignored. To see its keys and trust it, run: {PROGRAM} config trust"
    sentence = f"There is no preset {printable(name)}.{nearest(name, known)}"
    raise UsageError(sentence, hint=hint, code="config")


def preset_names(settings: Settings) -> list[str]:
    """Return the names of the presets of both files."""
    names: list[str] = []
    for file in settings.files():
        for name in file.table((PRESETS,)):
            if name not in names:
                names.append(name)
    return names


def _together(settings: Settings, table: tuple[str, ...], command: click.Command) -> Found:
    """Return the entries of both files: the project's over the user's, its limits only where they are lower."""
    own: Found = {}
    if settings.user is not None:
        own = entries_of(settings.user, table, command)
    if settings.project is None:
        return own
    added: Found = {}
    for name, entry in entries_of(settings.project, table, command).items():
        if not _weakens(settings, own, name, entry):
            added[name] = entry
    kept: Found = {}
    for name, entry in own.items():
        if _EXCLUSIVE.get(name) not in added:
            kept[name] = entry
    return kept | added


def _weakens(settings: Settings, own: Found, name: str, entry: Entry) -> bool:
    """Return whether the project's value is above the limit of the user's own file, with a warning."""
    if name not in LIMITS:
        return False
    bound = own.get(name) or _limit_of_launch(settings, entry)
    if bound is None or entry.value <= bound.value:
        return False
    sentence = (
        f"{entry.file.place_of(entry.key)}: {'.'.join(entry.key)} = {entry.shown} is ignored: "
        f"{'.'.join(bound.key)} = {bound.shown} of your own file stays."
    )
    settings.notices.append(Caution(code="limit-kept", message=sentence))
    return True


def _limit_of_launch(settings: Settings, entry: Entry) -> Entry | None:
    """Return the user's limit for every launch: it holds for presets, and for other commands, too."""
    launch = ("launch", entry.key[-1])
    if settings.user is None or launch[1] not in settings.user.table(("launch",)):
        return None
    shown = settings.user.table(("launch",))[launch[1]]
    command = click.Command("launch", params=[entry.param])
    return entry_of(settings.user, launch, keys_of(command)[launch[1]], shown, command)


# --- checks ----------------------------------------------------------------------------------------------


def check(settings: Settings) -> None:
    """Check what needs no command to be loaded: tables, keys above them, and what a project may not set. UsageError."""
    if settings.is_checked:
        return
    settings.is_checked = True  # an error is raised once: what shows it looks for the format here
    for file in settings.files():
        check_file(file)


def check_file(file: SettingsFile) -> None:
    """Check the tables of one file, its keys above them, and what may not be set. UsageError."""
    for path in _leaves(file.values):
        if path[-1] == "yes":
            raise unknown_key(file, path, ())
        if file.is_project and (path[-1] in BANNED or path[-1].startswith(_BANNED_PREFIX)):
            sentence = "a project file may never set this key."
            hint = "Remove it there. Your own file, the environment or the command line can set it."
            raise file.error(path, sentence, hint)
    tables = [name for name in COMMANDS if name not in WITHOUT_TABLE] + [PRESETS]
    for name, value in file.values.items():
        if name in tables:
            file.table((name,))
        elif isinstance(value, Mapping):
            raise file.error((name,), f"there is no such table.{nearest(name, tables)}")
    entries_of(file, (), TOP)


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key that is no table."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def leaves_of(file: SettingsFile) -> dict[str, Any]:
    """Return each key of a file with its value, as the file has them."""
    found: dict[str, Any] = {}
    for path in _leaves(file.values):
        value: Any = file.values
        for name in path:
            value = value[name]
        found[".".join(path)] = value
    return found
