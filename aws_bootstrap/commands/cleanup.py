"""`cleanup`: the SSH config in line with what lives, and no volume left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..app import App
from . import options
from .command import Command

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@options.yes
@click.option("--include-ebs", is_flag=True, help="Also delete data volumes whose instance no longer exists.")
@click.option("--include-kept", is_flag=True, help="Also delete kept volumes (needs --include-ebs).")
@options.regions
@options.everyone
@click.option("--sync", is_flag=True, help="Also add missing aliases and update changed addresses.")
@options.alias_key
@options.alias_user
@click.pass_obj
def cleanup(app: App, /, dry_run: bool, yes: bool, key_path: Path, ssh_user: str | None, **chosen: Any) -> None:
    """Remove aliases of terminated boxes, over all enabled regions. Never terminates a box.

    Also deletes the placement groups and security groups of clusters that have no node any more. What has other owners
    is deleted only with --everyone.

    \b
    Examples:
      aws-bootstrap cleanup --dry-run
      aws-bootstrap cleanup --include-ebs
      aws-bootstrap cleanup --sync --yes
      aws-bootstrap cleanup --include-ebs --region us-west-2
    """
    from ..config import LaunchConfig
    from ..views import questions
    from ..workflows import cleanup as workflow

    options.check_effects(
        options.without("--include-kept", "--include-ebs"),
        options.without("--key-path", "--sync"),
        options.without("--ssh-user", "--sync"),
    )
    if not dry_run:
        app.require_yes(yes=yes)
    cleanup_options = workflow.CleanupOptions(**chosen, config=LaunchConfig(key_path=key_path, ssh_user=ssh_user))
    planned = workflow.plan(app, cleanup_options)
    if dry_run:
        return app.show(planned.result)
    if planned.result.is_empty or not app.confirm(questions.cleanup(planned.result), yes=yes):
        return app.show(workflow.nothing_done(planned.result))
    return app.show(workflow.apply(app, planned, cleanup_options))
