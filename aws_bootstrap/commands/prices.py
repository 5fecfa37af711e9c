"""`prices`: what instance types cost by zone, and whether you may launch them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .. import defaults
from ..app import App
from . import options
from .command import Command
from .params import INSTANCE_TYPE, Picture

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.option(
    "--instance-type",
    "instance_types",
    multiple=True,
    type=INSTANCE_TYPE,
    metavar="TYPE",
    help=f"EC2 instance type; repeatable.  [default: {' '.join(defaults.INSTANCE_TYPES)}]",
)
@options.regions_here
@click.option(
    "--gpu-memory",
    type=click.IntRange(1, 100_000),
    metavar="GB",
    help="All types with at least this memory on each GPU; of those named, if any.",
)
@click.option("--plot", type=Picture(), metavar="FILE", help="Draw the spot prices into FILE.svg or FILE.png.")
@click.pass_obj
def prices(
    app: App, instance_types: tuple[str, ...], regions: tuple[str, ...], gpu_memory: int | None, plot: Path | None
) -> None:
    """Show prices by zone, cheapest first, with your quota.

    Spot now and in the last 7 days, on-demand, and whether the zone offers the type. `launch --cheapest` launches by
    these prices.

    \b
    Examples:
      aws-bootstrap prices
      aws-bootstrap prices --instance-type g5.xlarge -r us-west-2 -r us-east-1
      aws-bootstrap prices --gpu-memory 24 -o json
      aws-bootstrap prices --plot prices.svg
    """
    from ..workflows import prices as workflow

    app.show(workflow.report(app, workflow.PriceOptions(instance_types, regions, gpu_memory, plot)))
