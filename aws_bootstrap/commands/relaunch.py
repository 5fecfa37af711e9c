"""`relaunch`: launch an ended box again."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@click.option("--yes", "-y", is_flag=True, help="Accept on-demand without a prompt if spot has no capacity.")
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.pass_context
def relaunch(ctx: click.Context, /, name: str, yes: bool, dry_run: bool) -> None:
    """Launch an ended box again: the same options, alias and data volume.

    A box that runs is shown as it is. The options are those of its launch, as the SSH config or EC2's tags keep them.
    A box that EC2 has forgotten is found by its data volume. Its root disk no longer exists.

    \b
    Examples:
      aws-bootstrap relaunch aws-gpu1
      aws-bootstrap relaunch i-0123456789abcdef0 --dry-run
    """
    from ..workflows.relaunch import plan
    from .launch import launch

    app = ctx.find_object(App) or App()
    words = plan(app, name)
    if not isinstance(words, list):
        app.show(words)
        return
    if yes:
        words.append("--yes")
    if dry_run:
        words.append("--dry-run")
    # The words are the whole launch: a config file that has changed since must not change it.
    with launch.make_context("launch", words, parent=ctx.parent, default_map={}) as launch_context:
        launch.invoke(launch_context)
