"""`cluster launch`: start the nodes that a cluster lacks, and set up all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ...app import App
from .. import options
from ..command import Command
from ..params import CLUSTER_ID
from . import settings

if TYPE_CHECKING:
    from ...models import OnDemandOffer

#: What only a single box has.
WITHOUT = ("name", "ebs_volume_id")
SECTIONS = {"Cluster": ("--cluster-id", "--nodes", "--min-nodes", "--placement-group"), **options.LAUNCH_SECTIONS}


@click.command(cls=Command, sections=SECTIONS, without=WITHOUT)
@click.option(
    "--cluster-id", required=True, type=CLUSTER_ID, metavar="ID", help="Name of the cluster; its nodes are aws-ID-RANK."
)
@click.option(
    "--nodes", required=True, type=click.IntRange(1, 1000), metavar="NUMBER", help="How many nodes it shall have."
)
@click.option(
    "--min-nodes",
    type=click.IntRange(1, 1000),
    metavar="NUMBER",
    help="How many nodes are enough, if EC2 has no capacity for all.  [default: all]",
)
@click.option(
    "--placement-group/--no-placement-group",
    "in_placement_group",
    default=True,
    show_default=True,
    help="Have the nodes close to each other.",
)
@options.launch_options
@click.option("--yes", "-y", is_flag=True, help="Accept on-demand without a prompt if spot has no capacity.")
@click.option("--dry-run", is_flag=True, help="Show the plan; change nothing.")
@click.pass_context
def launch(ctx: click.Context, /, **given: Any) -> None:
    """Launch a cluster, or add the nodes that it lacks: in one zone, all of them or none.

    Its nodes reach each other without limits, and end together by --ttl, --idle-timeout or --max-cost, which is for all
    of them. Options that are left out are those of the nodes that exist. The same command again completes a launch that
    broke off.

    \b
    Examples:
      aws-bootstrap cluster launch --cluster-id train --nodes 2
      aws-bootstrap cluster launch --cluster-id train --nodes 4 --ttl 8h
      aws-bootstrap cluster launch --cluster-id big --nodes 8 --dry-run
    """
    from ...config import LaunchConfig
    from ...views import questions
    from ...workflows.cluster import launch as workflow

    app = ctx.find_object(App) or App()
    options.check_effects(
        options.without("--wait-timeout", "--wait"),
        options.beside("--ami-filter", "--image"),
        options.beside("--python-version", "--no-setup"),
        options.beside("--setup-script", "--no-setup"),
    )
    order = workflow.Order(
        given.pop("cluster_id"), given.pop("nodes"), given.pop("min_nodes"), given.pop("in_placement_group")
    )
    yes, dry_run = given.pop("yes"), given.pop("dry_run")
    cluster = workflow.find(app, order.cluster_id)
    given |= settings.typed(ctx, cluster)
    planned = workflow.plan(app, order, LaunchConfig(**given | {"tag": dict(given["tag"])}), cluster)
    if dry_run:
        app.show(workflow.dry_run(planned))
        return

    def accepts(offer: OnDemandOffer) -> bool:
        return app.accept(partial(questions.on_demand, offer), yes=yes)

    app.show(workflow.apply(app, planned, accepts))
