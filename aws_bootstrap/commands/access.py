"""`access`: who may reach the SSH port of your boxes."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command
from .params import Cidr


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[ALIAS_OR_ID]...", shell_complete=options.complete_alias)
@options.regions
@click.option(
    "--ssh-cidr",
    multiple=True,
    type=Cidr(),
    help="Allow only these networks, by the rules of this tool; `me` is your address. Repeatable.",
)
@options.everyone
@click.pass_obj
def access(
    app: App, names: tuple[str, ...], regions: tuple[str, ...], ssh_cidr: tuple[str, ...], everyone: bool
) -> None:
    """Show who may reach the SSH port of your boxes, or change it.

    Rules that this tool did not create stay as they are. Boxes that share a security group share its rules.
    A change without names is for your own boxes and rules alone, unless you add --everyone.

    \b
    Examples:
      aws-bootstrap access
      aws-bootstrap access aws-gpu1 --ssh-cidr me
      aws-bootstrap access --ssh-cidr me --ssh-cidr 203.0.113.0/24
    """
    from ..workflows import access as workflow

    app.show(workflow.apply(app, names, regions, ssh_cidr, everyone=everyone))
