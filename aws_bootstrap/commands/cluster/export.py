"""`cluster export`: a file for those who outgrow clusters of this tool."""

from __future__ import annotations

from typing import Any, get_args

import click

from ...app import App
from ...models import ExportTarget
from .. import options
from ..command import remote_words
from ..params import CLUSTER_ID
from . import shared


@click.command(cls=shared.ScriptCommand)
@click.option("--cluster-id", required=True, type=CLUSTER_ID, metavar="ID", help="The cluster.")
@click.option("--to", required=True, type=click.Choice(get_args(ExportTarget)), help="The tool.")
@click.option("--script", metavar="SCRIPT", help="Script that the nodes run, as `cluster run` does.")
@click.option(
    "--nproc-per-node",
    type=shared.ProcessCount(),
    default="auto",
    metavar="N",
    help="Processes on each node.  [default: auto, one for each GPU]",
)
@options.regions
@click.pass_context
def export(ctx: click.Context, /, cluster_id: str, to: ExportTarget, script: str | None, **given: Any) -> None:
    """Print a file with which another tool launches the same cluster, or runs the same job.

    SkyPilot and Ray launch nodes like those of the cluster. For Slurm it is a batch script. The job gets the variables
    that `cluster run` sets. Nothing is changed: the cluster goes on running.

    \b
    Examples:
      aws-bootstrap cluster export --cluster-id train --to ray > train.ray.yaml
      aws-bootstrap cluster export --cluster-id train --to skypilot --script t.py
    """
    from ...workflows.cluster import export as workflow
    from ...workflows.cluster.export.facts import Job

    arguments = tuple(remote_words(ctx) or ())
    job = Job(script or Job.script, arguments, given["nproc_per_node"], is_example=script is None)
    app = ctx.ensure_object(App)
    app.show(workflow.apply(app, cluster_id, to, job, given["regions"]))
