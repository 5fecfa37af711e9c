"""`stop`: turn on-demand boxes off and keep their disks."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="ALIAS_OR_ID...", shell_complete=options.complete_alias)
@options.yes
@click.pass_obj
def stop(app: App, names: tuple[str, ...], yes: bool) -> None:
    """Stop on-demand boxes. Their disks stay, and bill.

    A stopped box costs nothing by the hour, and `start` runs it again, at another address. What is in memory or on an
    instance store is lost. A spot box cannot be stopped.

    \b
    Examples:
      aws-bootstrap stop aws-gpu1
      aws-bootstrap stop aws-gpu1 --yes -o json
    """
    from ..models import StopReport
    from ..views import power
    from ..workflows.power import stop as workflow

    app.require_answer(yes=yes)
    planned = workflow.plan(app, names)
    if app.confirm(power.stop_question(planned), yes=yes):
        app.show(workflow.apply(app, names))
    else:
        app.show(StopReport((), declined=True))
