"""`bake`: an image of a box, from which others are ready in the time of a boot."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command
from .params import IMAGE_NAME


@click.command(cls=Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@click.option(
    "--name",
    "image_name",
    type=IMAGE_NAME,
    metavar="NAME",
    help="Name of the image.  [default: by alias and time]",
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the image is available: that takes some minutes.")
@options.yes
@click.pass_obj
def bake(app: App, /, name: str, image_name: str | None, no_wait: bool, yes: bool) -> None:
    """Create an image of a box, for boxes that need no setup.

    The image is private, and has the root disk alone: no data volume. The box reboots, and works afterwards as before.
    A box from the image removes keys, tokens, history and limits of this one at its first boot, before its network
    is up.

    \b
    Examples:
      aws-bootstrap bake aws-gpu1
      aws-bootstrap bake aws-gpu1 --name trainer-2026 --no-wait --yes
      aws-bootstrap launch --image baked
    """
    from ..views import questions
    from ..workflows import bake as workflow

    app.require_answer(yes=yes)
    planned = workflow.plan(app, name, image_name)
    if app.confirm(questions.bake(planned.shown), yes=yes):
        app.show(workflow.apply(app, planned, wait=not no_wait))
    else:
        app.show(workflow.declined(planned))
