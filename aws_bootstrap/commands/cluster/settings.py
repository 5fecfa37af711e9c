"""The options with which the nodes of a cluster were launched, as EC2's tags keep them: for those that are added."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ...app import App

if TYPE_CHECKING:
    from ...models import ClusterLaunchReport
    from ...workflows.cluster.members import Cluster

#: The options of `launch` that are not those of a LaunchConfig.
_NOT_OF_CONFIG = ("preset", "yes", "dry_run")


def typed(ctx: click.Context, cluster: Cluster | None) -> dict[str, Any]:
    """Return the options of the cluster's launch, by the names of parameters, without those that this line has."""
    kept: dict[str, Any] = {}
    for name, value in _options(ctx, cluster, only_set=True).items():
        is_typed = ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        if not is_typed and name in ctx.params:
            kept[name] = value
    return kept


def launch_missing(ctx: click.Context, cluster: Cluster, size: int) -> ClusterLaunchReport:
    """Launch the nodes that the cluster lacks up to this size, with the options of the others, and return all nodes.

    `cluster` has the nodes as they were known before, of which the options are read. On-demand is accepted where spot
    has no capacity: a job waits. Errors are those of `cluster launch`.
    """
    from ...config import LaunchConfig
    from ...workflows.cluster import launch as workflow

    app = ctx.find_object(App) or App()
    options = _options(ctx, cluster, only_set=False)
    if options:
        options["tag"] = dict(options["tag"])
    config = LaunchConfig(**options)
    present = workflow.find(app, cluster.cluster_id)
    planned = workflow.plan(app, workflow.Order(cluster.cluster_id, size), config, present)
    return workflow.apply(app, planned, lambda offer: True)


def _options(ctx: click.Context, cluster: Cluster | None, *, only_set: bool) -> dict[str, Any]:
    """Return the options of the launch of the first node, with `only_set` those alone that differ from the defaults.

    Empty where EC2 has none, or where somebody edited them.
    """
    from ..launch import launch

    line = cluster.nodes[0].instance.settings if cluster else None
    if line is None:
        return {}
    try:
        words = shlex.split(line)
        known = launch.make_context("launch", words, parent=ctx.parent, default_map={})
    except (ValueError, click.UsageError):
        return {}
    found: dict[str, Any] = {}
    with known:
        for name, value in known.params.items():
            is_set = known.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if name not in _NOT_OF_CONFIG and (is_set or not only_set):
                found[name] = value
    return found
