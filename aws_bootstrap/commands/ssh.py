"""`ssh`: a terminal on a box, or one command."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import RemoteCommand, remote_words


@click.command(cls=RemoteCommand)
@click.argument("name", required=False, metavar="[ALIAS]", shell_complete=options.complete_alias)
@click.option("--tty", "-t", is_flag=True, help="Give the command a terminal, also where this side has none.")
@click.pass_context
def ssh(ctx: click.Context, /, name: str | None, tty: bool) -> int | None:
    """Open a terminal on a box, or run a command there.

    Without ALIAS this is your only box that runs. Your own ssh connects, with all of its settings for the alias.

    A COMMAND of one word is a line for the box's bash, with pipes and variables. Of several words each stays one word.
    It has a terminal where this side is one. Its exit code is passed on; 255 means that this side failed. Structured
    output has the end of what it printed.

    \b
    Examples:
      aws-bootstrap ssh aws-gpu1
      aws-bootstrap ssh aws-gpu1 -- nvidia-smi
      aws-bootstrap ssh aws-gpu1 -- 'nvidia-smi | tail -n 3'
    """
    from ..workflows import remote

    app = ctx.ensure_object(App)
    words = remote_words(ctx)
    script = remote.script_of(words) if words else None
    if script is None:
        app.require_streams(f"Add a command, for example: {PROGRAM} ssh {name or 'aws-gpu1'} -o json -- nvidia-smi")
    if tty and not app.passes_streams:
        raise UsageError("A document has the output of a command without a terminal.", hint="Leave out --tty.")
    with remote.failing_as_ssh():
        report = remote.ssh(app, name, script, tty=tty)
    app.show(report)
    return report.exit_code
