"""`setup`: run the remote setup again."""

from __future__ import annotations

from typing import Any

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@options.python_version
@options.setup_script
@click.option("--format-volume", is_flag=True, help="Format the data volume, if it is empty, after a confirmation.")
@options.yes
@options.alias_key
@options.alias_user
@click.pass_obj
def setup(app: App, /, name: str, format_volume: bool, yes: bool, **chosen: Any) -> None:
    """Run the remote setup again; completed steps are skipped.

    A box without an alias on this machine, named by its id, gets one.

    \b
    Examples:
      aws-bootstrap setup aws-gpu1
      aws-bootstrap setup i-0123456789abcdef0
      aws-bootstrap setup aws-gpu1 --format-volume
    """
    from ..config import LaunchConfig
    from ..views import questions
    from ..workflows import setup as workflow

    if format_volume:
        app.require_answer(yes=yes)
    config = LaunchConfig(**chosen)
    host = workflow.find_host(app, name, config)
    to_format = None
    if format_volume:
        to_format = workflow.find_volume(app, host)
        if not app.confirm(questions.format_volume(host.alias or host.instance_id, to_format), yes=yes):
            app.show(workflow.declined(app, host))
            return
    app.show(workflow.apply(app, host, config, to_format=to_format))
