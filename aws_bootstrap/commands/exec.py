"""`exec`: one command on several boxes."""

from __future__ import annotations

import shlex

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import RemoteCommand, remote_words


@click.command("exec", cls=RemoteCommand)
@click.argument("names", nargs=-1, metavar="[ALIAS]...", shell_complete=options.complete_alias)
@click.pass_context
def exec_(ctx: click.Context, /, names: tuple[str, ...]) -> int | None:
    """Run a command on several boxes at the same time.

    Each line that it prints begins with the alias of its box. The exit code is the highest of all boxes, and 255 if
    one of them could not run it. It reads no input. COMMAND is as that of `ssh`.

    \b
    Examples:
      aws-bootstrap exec aws-gpu1 aws-gpu2 -- nvidia-smi -L
      aws-bootstrap exec aws-gpu1 aws-gpu2 -- 'df -h / | tail -n 1'
    """
    from ..workflows import remote

    app = ctx.ensure_object(App)
    words = remote_words(ctx)
    if not words:
        raise UsageError("There is no command.", hint=_with_command(app, names))
    with remote.failing_as_ssh():
        report = remote.execute(app, names, remote.script_of(words))
    app.show(report)
    return report.exit_code


def _with_command(app: App, names: tuple[str, ...]) -> str:
    """Return the line with a command after `--`: the words that no box has, or an example."""
    from ..workflows import pick

    boxes = pick.without_command(app, names)
    if boxes is None:
        return f"Add one: {PROGRAM} exec {' '.join(names)} -- nvidia-smi".replace("  ", " ")
    return f"Put -- before the command: {PROGRAM} exec {' '.join(names[:boxes])} -- {shlex.join(names[boxes:])}"
