"""`cp`: copy files and folders between this machine and a box."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...", shell_complete=options.complete_box_path)
@click.argument("target", metavar="DST", shell_complete=options.complete_box_path)
@click.pass_obj
def cp(app: App, /, sources: tuple[str, ...], target: str) -> None:
    """Copy files and folders between this machine and a box.

    A path of the box is ALIAS:PATH, from the login user's home; :PATH is one of your only box. Folders are copied
    whole, without an option. Existing files are overwritten, as by cp and scp.
    With rsync on both sides, files that are equal already are skipped, and a broken copy goes on where it ended.

    \b
    Examples:
      aws-bootstrap cp train.py aws-gpu1:workspace
      aws-bootstrap cp 'aws-gpu1:*.ipynb' .
    """
    from ..workflows import copy

    app.show(copy.copy(app, sources, target))
