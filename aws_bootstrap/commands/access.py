"""`access`: who may reach the SSH port of your boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..app import App
from . import options
from .command import Command
from .params import Cidr, Tag

if TYPE_CHECKING:
    from ..models import IngressRule


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[ALIAS_OR_ID]...", shell_complete=options.complete_alias)
@options.regions
@click.option(
    "--ssh-cidr",
    multiple=True,
    type=Cidr(),
    help="Allow only these networks, by the rules of this tool; `me` is your address. Repeatable.",
)
@click.option("--tag", multiple=True, type=Tag(), help="Tag of the rules that are created; repeatable.")
@options.everyone
@options.yes
@click.pass_obj
def access(app: App, /, names: tuple[str, ...], regions: tuple[str, ...], yes: bool, **chosen: Any) -> None:
    """Show who may reach the SSH port of your boxes, or change it.

    Rules that this tool did not create stay as they are. If one opens the port to the whole internet in a group
    of this tool, a change offers to remove it; --yes agrees. Boxes that share a group share its rules.
    A change without names is for your own boxes and rules alone, unless you add --everyone.

    \b
    Examples:
      aws-bootstrap access
      aws-bootstrap access aws-gpu1 --ssh-cidr me
      aws-bootstrap access --ssh-cidr me --ssh-cidr 203.0.113.0/24
    """
    from ..views import questions
    from ..workflows import access as workflow

    options.check_effects(
        options.without("--tag", "--ssh-cidr", hint="--ssh-cidr me"),
        options.without("--everyone", "--ssh-cidr", hint="--ssh-cidr me"),
        options.without("--yes", "--ssh-cidr", hint="--ssh-cidr me"),
    )

    def agrees(rules: Sequence[IngressRule]) -> bool:
        return app.consents(partial(questions.open_to_world, rules), yes=yes)

    access_options = workflow.AccessOptions(chosen["ssh_cidr"], chosen["everyone"], dict(chosen["tag"]))
    app.show(workflow.apply(app, names, regions, access_options, agrees=agrees))
