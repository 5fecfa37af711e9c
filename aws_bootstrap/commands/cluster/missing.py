"""Launch the nodes that a cluster lacks, while a job waits for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ... import output
from ...app import App
from ...errors import AwsError
from .launch import launch
from .settings import words_of

if TYPE_CHECKING:
    from ...config import LaunchConfig
    from ...models import ClusterLaunchReport, OnDemandOffer
    from ...workflows.cluster.launch import Order
    from ...workflows.cluster.members import Cluster

#: The options of `cluster launch` that are neither those of a LaunchConfig nor of an Order.
_OTHERS = ("preset", "yes", "dry_run")


def launch_missing(ctx: click.Context, cluster: Cluster, size: int) -> ClusterLaunchReport:
    """Launch the nodes that the cluster lacks up to this size, with the options of the others, and return all nodes.

    `cluster` has the nodes as they were known before, of which the options are read. On-demand is accepted where spot
    has no capacity: a job waits. Where the node that has just ended still counts against the quota, this waits until
    it does not, as `--wait` does. Errors are those of `cluster launch`.
    """
    from ...config import LaunchConfig
    from ...workflows.cluster.launch import Order

    app = ctx.find_object(App) or App()
    requested = ["--cluster-id", cluster.cluster_id, "--nodes", str(size)]
    with _context(ctx, [*words_of(cluster), *requested], requested) as known:
        given = {name: value for name, value in known.params.items() if name not in _OTHERS}
    order = Order(given.pop("cluster_id"), given.pop("nodes"), given.pop("min_nodes"), given.pop("in_placement_group"))
    config = LaunchConfig(**given | {"tag": dict(given["tag"])})
    try:
        return _launch(app, order, config)
    except AwsError as exc:
        if not exc.passes:
            raise
    # The node that has ended counts against the quota for some minutes more.
    return _launch(app, order, replace(config, wait=True))


def _launch(app: App, order: Order, config: LaunchConfig) -> ClusterLaunchReport:
    """Launch the nodes that the cluster lacks now."""
    from ...workflows.cluster import launch as workflow

    present = workflow.find(app, order.cluster_id)
    plan = workflow.plan(app, order, config, present)
    return workflow.apply(app, plan, _accept)


def _accept(offer: OnDemandOffer) -> bool:
    """Accept on-demand, and warn of it: there is no prompt during a run, and it costs more."""
    first = offer.prices[0]
    message = "There is no spot capacity for the nodes that are missing: they are launched on-demand, at its price."
    output.warn(message, code="no-capacity", region=first.region)
    return True


def _context(ctx: click.Context, words: list[str], without: list[str]) -> click.Context:
    """Return the context of `cluster launch` with these words; without the kept options if somebody edited them."""
    try:
        return launch.make_context("launch", words, parent=ctx.parent, default_map={})
    except click.UsageError:
        return launch.make_context("launch", without, parent=ctx.parent, default_map={})
