"""`launch`: from nothing to a configured box."""

from __future__ import annotations

from typing import Any

import click

from ..app import App
from ..config import LaunchConfig
from . import options


@click.command(cls=options.Command)
@options.launch_options
@options.yes
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@click.pass_obj
def launch(app: App, dry_run: bool, yes: bool, tag: tuple[tuple[str, str], ...], **chosen: Any) -> None:
    """Launch a GPU dev box: spot, or on-demand when spot has none.

    \b
    Examples:
      aws-bootstrap launch
      aws-bootstrap launch --dry-run
      aws-bootstrap launch --instance-type g5.xlarge --region eu-west-1 --yes
    """
    from ..workflows import launch as workflow

    config = LaunchConfig(tag=dict(tag), **chosen)
    plan = workflow.plan(config, app)
    question = f"EC2 has no {config.instance_type} on spot just now. Launch on-demand, at its price?"
    app.show(plan.dry_run() if dry_run else workflow.apply(plan, app, lambda: app.accept(question, yes=yes)))
