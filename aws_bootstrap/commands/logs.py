"""`logs`: what a run, the setup or the guardian has written."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[ALIAS] [RUN]", shell_complete=options.complete_alias)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended; a lost connection is renewed.")
@click.option("--lines", "-n", type=click.IntRange(0), metavar="LINES", help="Only so many lines, from the end.")
@click.option("--setup", is_flag=True, help="The log of the setup.")
@click.option("--guardian", is_flag=True, help="The journal of the guardian, which ends the box at its limits.")
@click.pass_obj
def logs(app: App, /, words: tuple[str, ...], follow: bool, lines: int | None, setup: bool, guardian: bool) -> None:
    """Show the log of a run.

    Without RUN this is the newest one of the box. The exit code is 0 whatever the run's is: `attach` passes that on.
    Ctrl-C leaves the run alone.

    \b
    Examples:
      aws-bootstrap logs aws-gpu1
      aws-bootstrap logs aws-gpu1 train -n 20
      aws-bootstrap logs aws-gpu1 --setup
    """
    from ..workflows import logs as workflow
    from ..workflows import pick

    source = "run"
    if setup:
        source = "setup"
    if guardian:
        source = "guardian"
    if len(words) > 2 or (setup and guardian) or (source != "run" and len(words) > 1):
        raise UsageError("Name one box, and one log of it.", hint=f"See: {PROGRAM} logs --help")
    if follow:
        app.require_streams("Leave out --follow, or wait for the run's end with `attach`.")
    name, run = words[0] if words else None, None
    if source == "run":
        name, run = workflow.box_and_run(app, words)
    app.show(workflow.show(app, pick.host(app, name), workflow.Log(source, run, lines, follow)))
