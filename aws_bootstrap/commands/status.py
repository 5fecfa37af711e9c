"""`status`: boxes and volumes, and what they cost."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@options.regions
@click.option("--instructions/--no-instructions", "-I/ ", default=True, help="Show how to connect.  [default: shown]")
@click.option("--gpu", is_flag=True, help="Query each running box for its GPU and CUDA versions, over SSH.")
@click.pass_obj
def status(app: App, regions: tuple[str, ...], instructions: bool, gpu: bool) -> None:
    """Show your boxes, their cost, and volumes that still bill.

    \b
    Examples:
      aws-bootstrap status
      aws-bootstrap status --region us-west-2 --no-instructions
      aws-bootstrap status --gpu -o json
    """
    from ..workflows import status as workflow

    app.show(workflow.gather(app, regions, instructions=instructions, gpu=gpu))
