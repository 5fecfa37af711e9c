"""The `aws-bootstrap` command: its global options, and the one place that handles errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import output, silence, startup
from .app import App
from .commands import COMMANDS, SECTIONS, load
from .commands.command import GLOBAL_OPTIONS, examples_last, split_line
from .console import OutputFormat, drop_stdout
from .errors import SIGNALS, BootstrapError, Interrupted, UsageError, interrupt_behind
from .invocation import PROGRAM

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Group(click.Group):
    """The root group: everything that can go wrong leaves through `main`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **examples_last(settings))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of use, the sandbox's own among them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, loaded for this."""
        return super().get_command(ctx, cmd_name) or load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words name. Click looks for similar names among loaded commands alone."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as exc:
            raise click.exceptions.NoSuchCommand(exc.command_name, possibilities=COMMANDS, ctx=ctx) from exc

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of the help page in their groups."""
        for title, commands in SECTIONS.items():
            rows: list[tuple[str, str]] = []
            for name, listed in commands.items():
                rows.append((name, listed.short_help))
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so. Click would load every such command for its help."""
        from click.shell_completion import CompletionItem

        found: list[CompletionItem] = []
        for name, listed in COMMANDS.items():
            if name.startswith(incomplete):
                found.append(CompletionItem(name, help=listed.short_help))
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the command; exit with the code that the contract gives the outcome."""
        if args is None:
            args = sys.argv[1:]
        given = list(args)
        own, _ = split_line(given)  # what follows is for a box
        app = extra.setdefault("obj", None) or App()
        app.begin(_requested_format(own))
        silence.report_to(partial(output.warn, code="region-failed"))
        extra |= {"obj": app, "standalone_mode": False, "prog_name": "aws-bootstrap"}
        with startup.watched():
            try:
                startup.raise_signals(_interrupt)
                _check_format(own)
                code = super().main(given, *rest, **extra)
                if app.failure:
                    raise app.failure
                startup.ignore_signals()  # the result is written
            except click.exceptions.NoArgsIsHelpError as exc:
                output.show_help(exc.format_message())
                sys.exit(exc.exit_code)
            except click.UsageError as exc:
                startup.ignore_signals()
                _fail(self._refused(exc, own), app, debug=app.debug or "--debug" in own)
            except (Exception, KeyboardInterrupt) as exc:
                startup.ignore_signals()
                _fail(exc, app, debug=app.debug or "--debug" in own)
        if isinstance(code, int):
            sys.exit(code)
        sys.exit(0)

    def _refused(self, exc: click.UsageError, line: Sequence[str]) -> UsageError:
        """Return the error for a line that the parser refuses: with the line that was meant, where that is known."""
        from .commands.meant import meant_by

        error = _usage_error(exc)
        meant = meant_by(exc, line, self)
        if meant is None:
            return error
        return UsageError(" ".join(exc.message.split()), hint=f"{meant}\n{error.hint}")


def _interrupt(number: int) -> KeyboardInterrupt:
    """Return what the signal of this number raises."""
    return SIGNALS[number]()


def _fail(exc: BaseException, app: App, *, debug: bool) -> NoReturn:
    """Show the failure and exit with its code."""
    from .commands.configured import adopt_format

    error = _to_error(exc)
    adopt_format(app)
    if app.failure and isinstance(error, Interrupted):
        error = _with_failure(error, app.failure)
    if debug:
        output.debug(exc)
    try:
        output.emit_error(error)
    except OSError:
        drop_stdout()
    sys.exit(error.exit_code)


def _with_failure(error: Interrupted, failure: BootstrapError) -> BootstrapError:
    """Return the error of a signal that came after a command had failed, with all that the failure knows."""
    error.add_details(hint=failure.hint, resources=failure.report.resources, regions=failure.report.regions)
    if failure.result is None:
        return error
    return error.attach_result(failure.result)


def _to_error(exc: BaseException) -> BootstrapError:
    """Return any exception as one of our errors."""
    if isinstance(exc, BootstrapError):
        return exc
    if isinstance(exc, click.Abort) or interrupt_behind(exc):
        return Interrupted.of(exc)
    if isinstance(exc, click.ClickException):
        return _usage_error(exc)
    if isinstance(exc, BrokenPipeError):
        return BootstrapError("The output pipe was closed.", code="output-failed")
    return BootstrapError(
        f"Unexpected {type(exc).__name__}: {exc}",
        hint="This is a bug. Run the command again with --debug, and report what it shows.",
        code="internal-error",
    )


def _usage_error(exc: click.ClickException) -> UsageError:
    """Return Click's error as a UsageError: its message on one line, and the help of the command that it is about."""
    ctx = getattr(exc, "ctx", None)
    hint = None
    if ctx:
        command = ctx.command_path.removeprefix("aws-bootstrap")
        hint = f"See: {PROGRAM}{command} --help"
    return UsageError(" ".join(exc.format_message().split()), hint=hint)


def _check_format(args: Sequence[str]) -> None:
    """Raise UsageError for a format from the environment that does not exist: a script would read text as JSON."""
    named = os.environ.get("AWS_BOOTSTRAP_OUTPUT")
    if named and output.format_named(named) is None:
        raise UsageError(f"AWS_BOOTSTRAP_OUTPUT is '{named}'; it can be {', '.join(OutputFormat)}.")


def _requested_format(args: Sequence[str]) -> OutputFormat | None:
    """Return the format named anywhere on the line, or by the environment; None if there is none.

    A usage error must come in it, though parsing stops earlier.
    """
    requested = os.environ.get("AWS_BOOTSTRAP_OUTPUT", "")
    for number, word in enumerate(args):
        if word in ("-o", "--output") and number + 1 < len(args):
            requested = args[number + 1]
        elif word.startswith("--output="):
            requested = word.partition("=")[2]
        elif word.startswith("-o") and not word.startswith("--"):
            requested = word[2:].removeprefix("=")
    return output.format_named(requested)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aws-bootstrap-g4dn", prog_name="aws-bootstrap")
@click.option("--sandbox", is_flag=True, help="Rehearse against a local EC2: no account, no cost.")
@click.pass_context
def main(ctx: click.Context, sandbox: bool) -> None:
    """One command to a configured GPU box on AWS EC2, one command to end it.

    \b
    Examples:
      aws-bootstrap --sandbox launch     rehearse, with no account and no cost
      aws-bootstrap launch               a g4dn.xlarge on spot; then: ssh aws-gpu1
      aws-bootstrap terminate aws-gpu1   end it
    """
    if sandbox:
        _enter_sandbox()


def _enter_sandbox() -> None:
    """Point this process at the local EC2: by its environment alone."""
    from .sandbox import environment

    for name, value in environment().items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


main.params += [make() for make in GLOBAL_OPTIONS]
