"""The id of a cluster on a command line: as an argument, or as the option --cluster-id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ...app import App
from ...errors import UsageError


def complete_cluster(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Return the ids of clusters with this beginning, from the SSH config alone: after `--sandbox` the sandbox's."""
    from ...workflows.aliases import cluster_ids

    app = ctx.find_object(App) or App()
    if ctx.find_root().params.get("sandbox"):
        app.paths = app.paths.of_sandbox()
    return [cluster_id for cluster_id in cluster_ids(app) if cluster_id.startswith(begun)]


def cluster_id(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the option that name a cluster: `name` and `cluster_id`, for `chosen`."""
    argument = click.argument("name", required=False, metavar="[CLUSTER_ID]", shell_complete=complete_cluster)
    option = click.option(
        "--cluster-id", metavar="ID", shell_complete=complete_cluster, help="The cluster, in place of the argument."
    )
    return argument(option(command))


def chosen(name: str | None, cluster_id: str | None) -> str | None:
    """Return the id that was typed, in whichever way; None without one. UsageError for two different ones."""
    if name and cluster_id and name != cluster_id:
        raise UsageError(f"{name} and --cluster-id {cluster_id} are two clusters.", hint="Name one of them.")
    return name or cluster_id
