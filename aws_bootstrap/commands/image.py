"""`image`: the images that were baked."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Group


@click.group(cls=Group)
def image() -> None:
    """List and remove the images that were baked.

    \b
    Examples:
      aws-bootstrap image ls
      aws-bootstrap image rm trainer-2026
    """


@image.command("ls")
@options.regions
@click.pass_obj
def ls(app: App, regions: tuple[str, ...]) -> None:
    """List the images that were baked, everybody's, with what they cost.

    \b
    Examples:
      aws-bootstrap image ls
      aws-bootstrap image ls --region us-west-2 -o json
    """
    from ..workflows import own_images as workflow

    app.show(workflow.read_list(app, regions))


@image.command("rm")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@options.regions
@options.yes
@click.pass_obj
def remove(app: App, images: tuple[str, ...], regions: tuple[str, ...], yes: bool) -> None:
    """Deregister images, and delete their snapshots.

    IMAGE is an id or a name. Only images that were baked by aws-bootstrap are removed. Boxes that were launched from an
    image go on without it.

    \b
    Examples:
      aws-bootstrap image rm trainer-2026
      aws-bootstrap image rm ami-0123456789abcdef0 --yes
    """
    from ..models import ImageRemovals
    from ..views import questions
    from ..workflows import own_images as workflow

    app.require_answer(yes=yes)
    planned = workflow.plan_removal(app, images, regions)
    if app.confirm(questions.image_removal(planned.rows), yes=yes):
        app.show(workflow.remove(app, planned))
    else:
        app.show(ImageRemovals((), declined=True))
