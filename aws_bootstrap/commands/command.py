"""The command classes: every option has its environment variable, and every command takes the global options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from .. import timings
from ..app import App
from ..console import OutputFormat

_WITHOUT_VARIABLE = {"yes", "help"}
#: The key of the words for a box, in what the contexts of one line share.
_REMOTE = "aws_bootstrap.remote"


def examples_last(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a command's settings, the examples of its help below the options: one copies from the last lines."""
    text, sign, examples = inspect.cleandoc(settings.get("help") or "").partition("\b\nExample")
    if not sign:
        return settings
    return settings | {"help": text.strip(), "epilog": sign + examples}


class Context(click.Context):
    """Click's context. The defaults of options come from the config files, read when the first one is looked up."""

    def __init__(self, *args: Any, reads_config: bool = False, **extra: Any) -> None:
        super().__init__(*args, **extra)
        #: Whether the config files have values for this command. A help page and completion show none.
        self.reads_config = reads_config and self.find_object(App) is not None

    @property
    def table(self) -> tuple[str, ...]:
        """Return the table of the config files that has this command's options: the names of group and command."""
        names = [self.info_name or ""]
        parent = self.parent
        while parent is not None and parent.parent is not None:
            names.insert(0, parent.info_name or "")
            parent = parent.parent
        return tuple(names)

    def lookup_default(self, name: str, call: bool = True) -> Any:
        """Return the parameter's value of the config files; None if they have none."""
        given = super().lookup_default(name)
        if given is not None or not self.reads_config or self.resilient_parsing:
            return given
        from .configured import default_of

        return default_of(self.find_object(App), self.table, self.command, name)


class Command(click.Command):
    """A command that takes the global options too, and reads each option from AWS_BOOTSTRAP_<COMMAND>_<OPTION>.

    What neither the line nor the environment sets comes from the config files. `sections`: the titles of its help page,
    each with its options. Those without a title come after them. `without`: parameters of shared options that it lacks.
    """

    context_class = Context
    #: Whether the config files have a table for this command.
    has_table = True

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Sequence[str]] | None = None,
        without: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **examples_last(kwargs))
        self.sections = sections or {}
        self.params = [param for param in self.params if param.name not in without]
        for param in self.params:
            if isinstance(param, click.Option) and param.envvar is None and param.name not in _WITHOUT_VARIABLE:
                param.envvar = _variable(self.name or "", param)
        self._own_params = list(self.params)
        self.params += [make() for make in GLOBAL_OPTIONS]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the help page: in their sections, the global ones at the end."""
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in (*self.sections, "Options", "Global options")}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                rows[self._section_of(param)].append(record)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _section_of(self, param: click.Parameter) -> str:
        """Return the title of the section that has this option."""
        for title, names in self.sections.items():
            if not set(param.opts).isdisjoint(names):
                return title
        if param in self._own_params:
            return "Options"
        return "Global options"

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return Click's own context, with the negative names of switches read from the environment: …_ON_DEMAND=1.

        They take precedence over the defaults of a parent context and of the config files, as every variable does.
        With a `default_map` the config files are not read.
        """
        given = extra.pop("default_map", None)
        defaults = dict(given or _inherited_defaults(parent, info_name))
        for param in self.params:
            negated = _negated(param)
            if negated is not None:
                defaults[param.name] = negated
        reads_config = self.has_table and given is None
        return super().make_context(
            info_name, args, parent, default_map=defaults, **{"reads_config": reads_config, **extra}
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, then apply the preset that they name, if the command has presets."""
        rest = super().parse_args(ctx, args)
        for param in self.params:
            if _negated(param) is not None and ctx.get_parameter_source(param.name) is ParameterSource.DEFAULT_MAP:
                ctx.set_parameter_source(param.name, ParameterSource.ENVIRONMENT)
        if isinstance(ctx, Context) and ctx.reads_config and not ctx.resilient_parsing and "preset" in ctx.params:
            from .configured import apply_preset

            apply_preset(ctx, ctx.find_object(App), ctx.table)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with what the config files have for every command, after their warnings."""
        app = ctx.find_object(App)
        if self.has_table and app is not None:
            from .configured import adopt

            adopt(app)
        return super().invoke(ctx)


class PlainCommand(Command):
    """A command without a table. It works beside a config file that no other command can use."""

    has_table = False


class RemoteCommand(Command):
    """A command that passes a command line to a box: the words after `--`, which Click would swallow.

    They are neither options nor arguments of this program: `remote_words` returns them.
    """

    #: How the usage line names them.
    remote_metavar = "COMMAND"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before `--`, and keep those after it."""
        own, remote = split_line(args)
        ctx.meta[_REMOTE] = remote
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line, the words for the box at its end."""
        return [*super().collect_usage_pieces(ctx), f"[-- {self.remote_metavar}...]"]


def split_line(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the words before the first `--`, and those after it; None if there is none."""
    words = list(words)
    if "--" not in words:
        return words, None
    place = words.index("--")
    return words[:place], words[place + 1 :]


def remote_words(ctx: click.Context) -> list[str] | None:
    """Return the words after `--` of a RemoteCommand's line; None if it has no `--`."""
    words: list[str] | None = ctx.meta.get(_REMOTE)
    return words


def _inherited_defaults(parent: click.Context | None, info_name: str | None) -> Mapping[str, Any]:
    """Return the defaults that the parent context has for this command."""
    if parent is None or parent.default_map is None:
        return {}
    return parent.default_map.get(info_name or "") or {}


def negative_variable(param: click.Parameter) -> str | None:
    """Return the variable of the second name of a switch like `--spot/--on-demand`; None for another parameter."""
    if not isinstance(param, click.Option) or not isinstance(param.envvar, str) or not param.secondary_opts:
        return None
    prefix = param.envvar.removesuffix(_constant(_longest(param.opts)))
    return prefix + _constant(_longest(param.secondary_opts))


def _negated(param: click.Parameter) -> bool | None:
    """Return the value that the environment gives a switch by its second name; None if it does not."""
    value = os.environ.get(negative_variable(param) or "", "").lower()
    if value in ("1", "true", "yes", "on", "t", "y"):
        return False
    if value in ("0", "false", "no", "off", "f", "n"):
        return True
    return None


def _longest(names: Sequence[str]) -> str:
    """Return the long one of an option's names."""
    return max(names, key=len)


def _constant(option: str) -> str:
    """Return an option's name as an environment variable's: ON_DEMAND for --on-demand."""
    return option.lstrip("-").upper().replace("-", "_").replace(" ", "_")


class Group(click.Group):
    """A command of commands. It takes the global options too; AWS_BOOTSTRAP_<GROUP>_<COMMAND>_<OPTION> are read."""

    command_class = Command

    def __init__(self, *args: Any, default: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **examples_last(kwargs))
        self.params += [make() for make in GLOBAL_OPTIONS]
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the group's name. Options alone are those of the default command, if there is one."""
        if self._default and not ctx.resilient_parsing and not self._has_own_words(ctx, args):
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def _has_own_words(self, ctx: click.Context, args: Sequence[str]) -> bool:
        """Return whether the words name a command, rightly or wrongly, or ask for the group's help."""
        if args and not args[0].startswith("-"):
            return True
        own = {*self.list_commands(ctx), *ctx.help_option_names}
        return not own.isdisjoint(args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of use, in which they are added."""
        return list(self.commands)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add the command; its options' variables are named after the group as well."""
        super().add_command(cmd, name)
        for param in cmd.params:
            if isinstance(param, click.Option) and param.envvar == _variable(cmd.name or "", param):
                param.envvar = _variable(f"{self.name} {cmd.name}", param)


def _variable(command: str, option: click.Option) -> str:
    """Return the variable named after the option as typed: Click's own names would follow the Python parameter."""
    return f"AWS_BOOTSTRAP_{_constant(command)}_{_constant(_longest(option.opts))}"


def _set_output(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.ensure_object(App).console.begin(OutputFormat(value))


def _set_profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.ensure_object(App).profile = value


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).debug = True


def _set_timings(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    # The root group and the command both have the option: the first one begins the recording.
    if value and timings.recorded() is None:
        timings.record(timings.Recorder())


def any_case(words: Sequence[str]) -> click.Choice[str]:
    """Return a choice of these words, in capitals or not: people write `JSON`, and AWS writes `PENDING`."""
    return click.Choice(words, case_sensitive=False)


def _output_option() -> click.Option:
    formats = any_case([output_format.value for output_format in OutputFormat])
    help_text = "How to show the result.  [default: text; env: AWS_BOOTSTRAP_OUTPUT]"
    return click.Option(["--output", "-o"], type=formats, callback=_set_output, expose_value=False, help=help_text)


def _profile_option() -> click.Option:
    help_text = "AWS profile.  [env: AWS_PROFILE]"
    return click.Option(["--profile"], callback=_set_profile, expose_value=False, help=help_text)


def _debug_option() -> click.Option:
    help_text = "On failure, show the traceback as well."
    return click.Option(["--debug"], is_flag=True, callback=_set_debug, expose_value=False, help=help_text)


def _timings_option() -> click.Option:
    help_text = "Show where the time went: steps, calls to AWS, SSH."
    return click.Option(["--timings"], is_flag=True, callback=_set_timings, expose_value=False, help=help_text)


GLOBAL_OPTIONS = (_output_option, _profile_option, _debug_option, _timings_option)
