"""`attach`: follow a run to its end."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[ALIAS] [RUN]", shell_complete=options.complete_alias)
@click.option("--lines", "-n", type=click.IntRange(0), metavar="LINES", help="Of what is there: only the last lines.")
@click.pass_obj
def attach(app: App, /, words: tuple[str, ...], lines: int | None) -> int | None:
    """Follow a run to its end, and exit with its exit code.

    Without RUN this is the newest one of the box. Ctrl-C detaches: the run goes on. A lost connection is renewed.
    255 means that this side failed.

    \b
    Examples:
      aws-bootstrap attach aws-gpu1
      aws-bootstrap attach aws-gpu1 train -n 20
    """
    from ..workflows import logs as workflow
    from ..workflows import pick, remote

    if len(words) > 2:
        raise UsageError("Name one box, and one run of it.", hint=f"See: {PROGRAM} attach --help")
    with remote.failing_as_ssh():
        name, run = workflow.box_and_run(app, words)
        report = workflow.attach(app, pick.host(app, name), workflow.Log(run=run, lines=lines))
    app.show(report)
    return report.exit_code
