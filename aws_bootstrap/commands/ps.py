"""`ps`: the runs of boxes."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[ALIAS]...", shell_complete=options.complete_alias)
@click.pass_obj
def ps(app: App, /, names: tuple[str, ...]) -> None:
    """List the runs of your boxes, running and ended.

    Without names these are all of your boxes that run, in all regions.

    \b
    Examples:
      aws-bootstrap ps
      aws-bootstrap ps aws-gpu1
    """
    from ..workflows import runs

    app.show(runs.listed(app, names))
