"""`costs`: what everything of yours costs, an hour and a month, and so far."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@options.regions
@click.option("--everyone", is_flag=True, help="Include what others own, and what has no owner.")
@click.option("--sum", "sums", is_flag=True, help="Show the sums alone.")
@click.pass_obj
def costs(app: App, regions: tuple[str, ...], everyone: bool, sums: bool) -> None:
    """Show what everything of yours costs: an hour, a month, so far.

    Instances, disks, public addresses, volumes without a box, snapshots and images, in all regions. The figures are
    estimates from list prices and the present spot prices, without data transfer and taxes.

    \b
    Examples:
      aws-bootstrap costs
      aws-bootstrap costs --sum -o json
      aws-bootstrap costs --everyone --region us-west-2
    """
    from ..workflows import cost_report as workflow

    app.show(workflow.gather(app, workflow.CostOptions(regions, everyone, sums)))
