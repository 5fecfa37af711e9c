"""`rename`: give a box another name."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command
from .params import BOX_NAME


@click.command(cls=Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@click.argument("new", metavar="NEW", type=BOX_NAME)
@click.pass_obj
def rename(app: App, name: str, new: str) -> None:
    """Give a box another name: its alias, and the tag Name.

    A name that another box, or a host of your SSH config, has is refused.

    \b
    Examples:
      aws-bootstrap rename aws-gpu1 trainer
      aws-bootstrap rename i-0123456789abcdef0 trainer -o json
    """
    from ..workflows import rename as workflow

    app.show(workflow.apply(app, name, new))
