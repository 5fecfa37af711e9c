"""`setup`: run the remote setup again."""

from __future__ import annotations

from pathlib import Path

import click

from ..app import App
from . import options


@click.command(cls=options.Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@options.python_version
@options.setup_script
@click.pass_obj
def setup(app: App, name: str, python_version: str | None, setup_script: Path | None) -> None:
    """Set a box up again; what is done already is left as it is.

    \b
    Examples:
      aws-bootstrap setup aws-gpu1
      aws-bootstrap setup i-0123456789abcdef0
    """
    from ..workflows import setup as workflow

    app.show(workflow.apply(app, name, python_version=python_version, script=setup_script))
