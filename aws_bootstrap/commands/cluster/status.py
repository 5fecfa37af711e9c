"""`cluster status`: the clusters, or the nodes of one."""

from __future__ import annotations

import click

from ...app import App
from .. import options
from ..command import Command
from .names import chosen, cluster_id


@click.command(cls=Command)
@cluster_id
@options.regions
@click.pass_obj
def status(app: App, name: str | None, cluster_id: str | None, regions: tuple[str, ...]) -> None:
    """Show your clusters, or the nodes of one: state, addresses, what is missing, and what all of it costs.

    \b
    Examples:
      aws-bootstrap cluster status
      aws-bootstrap cluster status --cluster-id train
    """
    from ...workflows.cluster import status as workflow

    requested = chosen(name, cluster_id)
    if requested is None:
        app.show(workflow.read_all(app, regions))
    else:
        app.show(workflow.read_one(app, requested, regions))
