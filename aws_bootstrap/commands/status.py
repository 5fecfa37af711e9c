"""`status`: boxes and volumes, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[ALIAS_OR_ID]...", shell_complete=options.complete_alias)
@options.regions
@click.option(
    "--instructions/--no-instructions",
    "-I/ ",
    default=None,
    help="Show how to connect to each box, and everything else of it.  [default: for named boxes]",
)
@click.option("--gpu", is_flag=True, help="Query each running box for its GPU and CUDA versions, over SSH.")
@click.pass_obj
def status(app: App, names: tuple[str, ...], regions: tuple[str, ...], instructions: bool | None, gpu: bool) -> None:
    """Show your boxes, their cost, and volumes that still bill.

    Each box has one line. If you name it or pass --instructions, everything of it is shown, with its commands.

    \b
    Examples:
      aws-bootstrap status
      aws-bootstrap status aws-gpu1
      aws-bootstrap status --gpu -o json
    """
    from ..workflows import status as workflow

    in_full = bool(names or gpu or instructions)
    report = workflow.gather(app, regions, names, gpu=gpu)
    app.show(replace(report, in_full=in_full, instructions=instructions is not False))
