"""`launch`: from nothing to a configured box."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..app import App
from . import options
from .command import Command

if TYPE_CHECKING:
    from ..models import OnDemandOffer


@click.command(cls=Command, sections=options.LAUNCH_SECTIONS)
@options.launch_options
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=options.complete_preset,
    help="Options that a config file has under this name; those typed here are above them.",
)
@click.option("--yes", "-y", is_flag=True, help="Accept on-demand without a prompt if spot has no capacity.")
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.pass_obj
def launch(app: App, /, dry_run: bool, yes: bool, tag: tuple[tuple[str, str], ...], **chosen: Any) -> None:
    """Launch a GPU dev box: spot, or on-demand when spot has none.

    \b
    Examples:
      aws-bootstrap launch
      aws-bootstrap launch --dry-run
      aws-bootstrap launch --instance-type g5.xlarge --region eu-west-1 --yes
      aws-bootstrap launch -r us-west-2 -r us-east-1 --cheapest --max-price 0.30
    """
    from ..config import LaunchConfig
    from ..views import questions
    from ..workflows import launch as workflow

    options.check_effects(
        options.without("--wait-timeout", "--wait"),
        options.beside("--ami-filter", "--image"),
        options.beside("--python-version", "--no-setup"),
        options.beside("--setup-script", "--no-setup"),
    )
    del chosen["preset"]  # its options are among the others
    config = LaunchConfig(tag=dict(tag), **chosen)
    existing = workflow.find_existing(config, app)
    if existing and not dry_run:
        app.show(existing)
        return
    plan = workflow.plan(config, app)
    if dry_run:
        app.show(plan.dry_run())
        return

    def accepts(offer: OnDemandOffer) -> bool:
        return app.accept(partial(questions.on_demand, offer), yes=yes)

    app.show(workflow.apply(plan, app, accepts))
