"""`config`: the config files, and the values in force."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ..app import App
from ..errors import BootstrapError, UsageError
from ..invocation import PROGRAM
from . import options
from .command import Group, PlainCommand

if TYPE_CHECKING:
    from ..models import ConfigValue
    from ..settings_file import SettingsFile
    from .tree import Tables


class ConfigGroup(Group):
    """The group of `config`: its commands work beside a config file that no other command can use."""

    command_class = PlainCommand


_project = click.option("--project", is_flag=True, help="The file of the current folder, not yours.")


def _complete_key(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the keys with this beginning."""
    from .tree import key_names

    return [name for name in key_names() if name.startswith(begun)]


def _complete_table(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the tables with this beginning; behind a point, the keys."""
    from .tree import key_names, tables

    found = [".".join(path) for path in tables() if ".".join(path).startswith(begun)]
    if "." in begun:
        found += [name for name in key_names() if name.startswith(begun)]
    return found


@click.group("config", cls=ConfigGroup, default="show")
def config() -> None:
    """Show and change the config files: defaults of options, and presets.

    `config` alone is `config show`.

    \b
    Examples:
      aws-bootstrap config init
      aws-bootstrap config set launch.ttl 8h
      aws-bootstrap config show
    """


@config.command()
@click.argument("table", required=False, metavar="[COMMAND]", shell_complete=_complete_table)
@click.option("--all", "everything", is_flag=True, help="Show the options with their defaults, too.")
@click.option("--preset", metavar="NAME", shell_complete=options.complete_preset, help="As `launch` with this preset.")
@click.pass_obj
def show(app: App, table: str | None, everything: bool, preset: str | None) -> None:
    """Show the values in force, each with its origin.

    Of a COMMAND, such as `launch` or `quota.show`, every option is shown; of a key, such as launch.ttl, that one.

    \b
    Examples:
      aws-bootstrap config show
      aws-bootstrap config show launch
      aws-bootstrap config show --all -o json
    """
    from ..models import ConfigReport
    from . import config_values, tree
    from .configured import adopt, preset_names

    profile = app.profile
    tree.check_all(app.settings)
    adopt(app)
    shown = _chosen(tree.tables(), table)
    is_whole = everything or table is not None
    values = config_values.of_program(app, profile)
    for path, command in shown.items():
        for value in config_values.of_command(app, path, command, preset):
            if is_whole or value.origin != "default":
                values.append(value)
    if table is None:
        values += config_values.of_presets(app.settings, tree.tables()[("launch",)])
    if table in tree.key_names():
        values = [value for value in values if value.key == table]
    app.show(ConfigReport(_files(app), tuple(values), tuple(preset_names(app.settings)), is_whole=is_whole))


def _chosen(known: Tables, table: str | None) -> Tables:
    """Return the commands to show: those of this name, or that of this key. UsageError for any other name."""
    from .keys import nearest
    from .tree import key_names

    if table is None:
        return known
    path = tuple(table.split("."))
    if table in key_names():
        path = path[:-1]
    chosen: Tables = {}
    for one, command in known.items():
        if one[: len(path)] == path:
            chosen[one] = command
    if not chosen:
        names = [".".join(one) for one in known]
        raise UsageError(f"There is no command {table} with options.{nearest(table, names)}", code="config")
    return chosen


def _files(app: App) -> tuple[Any, ...]:
    """Return the places of both files, and what is there."""
    from ..models import ConfigFile

    settings = app.settings
    files: list[ConfigFile] = []
    if app.paths.user_config is not None:
        files.append(ConfigFile("user", app.paths.user_config, "used" if settings.user else "missing"))
    if app.paths.project_config is not None:
        state = "used" if settings.project else "missing"
        if settings.ignored:
            state = "ignored"
        files.append(ConfigFile("project", app.paths.project_config, state, settings.ignored or None))
    return tuple(files)


@config.command()
@_project
@click.pass_obj
def init(app: App, project: bool) -> None:
    """Create a config file whose lines are all comments: examples to uncomment.

    An existing file is never changed.

    \b
    Examples:
      aws-bootstrap config init
      aws-bootstrap config init --project
    """
    from ..models import ConfigChange
    from ..workflows import config_edit

    path = _path(app, project=project)
    template = config_edit.PROJECT_TEMPLATE if project else config_edit.USER_TEMPLATE
    config_edit.create(path, template)
    trusted = _trusted(app, path, template.encode()) if project else None
    app.show(ConfigChange(path, _scope(project), created=True, trusted=trusted))


@config.command("set")
@click.argument("key", shell_complete=_complete_key)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@_project
@click.pass_obj
def set_(app: App, key: str, values: tuple[str, ...], project: bool) -> None:
    """Set a key of your config file; its comments and order stay.

    KEY is the command and its option, such as launch.ttl, or presets.NAME and an option of launch. An option that is
    repeatable takes several values.

    \b
    Examples:
      aws-bootstrap config set launch.ttl 8h
      aws-bootstrap config set launch.tag team=vision stage=test
      aws-bootstrap config set presets.train.max-cost 40
    """
    from ..models import ConfigChange
    from ..workflows import config_edit
    from . import config_values, edits

    path = _path(app, project=project)
    edit, check = edits.edit_of(key, values)
    was_trusted = project and config_edit.may_be_trusted(app.paths.home, path)
    changed = config_edit.change(path, edit, check, is_project=project)
    trusted: bool | None = None
    if project:
        trusted = was_trusted and _trusted(app, path, changed.content)
    previous = None
    if changed.before is not None:
        previous = config_values.plain(changed.before.table(edit.table).get(edit.name))
    value = config_values.plain(edit.value)
    created = changed.before is None
    app.show(ConfigChange(path, _scope(project), created, key, value, previous, trusted))


@config.command()
@options.yes
@click.pass_obj
def trust(app: App, yes: bool) -> None:
    """Show the keys of this folder's aws-bootstrap.toml, and trust the file until it changes.

    A file that is not trusted is ignored. No file can set who reaches a box, what runs on it, or which key opens it.

    \b
    Examples:
      aws-bootstrap config trust
      aws-bootstrap config trust --yes
    """
    from ..models import ConfigTrust
    from ..settings import unusable
    from ..settings_file import content_of, parsed
    from ..trust import digest
    from ..views import config_report
    from .configured import check_file
    from .tree import check_tables, tables

    app.require_answer(yes=yes)
    path = _path(app, project=True)
    try:
        content = content_of(path, is_private=False)
    except OSError as exc:
        raise unusable(path, exc) from exc
    if content is None:
        hint = f"Create one: {PROGRAM} config init --project"
        raise BootstrapError(f"There is no {path}.", hint=hint, code="not-found")
    file = parsed(path, content, is_project=True)
    check_file(file)
    check_tables(file, tables())
    report = ConfigTrust(path, digest(content), False, _keys(file))
    trusted = app.confirm(config_report.project_keys(report), yes=yes) and _trusted(app, path, content)
    app.show(ConfigTrust(path, report.sha256, trusted, report.values))


def _keys(file: SettingsFile) -> tuple[ConfigValue, ...]:
    """Return what a file sets, as it has it."""
    from ..models import ConfigValue
    from .config_values import plain
    from .configured import leaves_of

    return tuple([ConfigValue(key, plain(value), "project-file", file.path) for key, value in leaves_of(file).items()])


def _trusted(app: App, path: str, content: bytes) -> bool:
    """Trust the project file with this content. BootstrapError if that cannot be recorded."""
    from ..trust import trust as record

    try:
        record(app.paths.home, path, content)
    except OSError as exc:
        sentence = f"The trust cannot be recorded in {app.paths.home}: {exc.strerror or exc}."
        raise BootstrapError(sentence, code="config") from exc
    return True


def _scope(project: bool) -> str:
    return "project" if project else "user"


def _path(app: App, *, project: bool) -> str:
    """Return the path of the file to change. UsageError where there is no place for one."""
    path = app.paths.project_config if project else app.paths.user_config
    if path is None or path == os.devnull:
        raise UsageError(
            "AWS_BOOTSTRAP_CONFIG is empty, or the current folder was deleted: there is no place for the file.",
            code="config",
        )
    return path
