"""`cluster run`: a script on all nodes of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...app import App
from ...errors import UsageError
from .. import options
from ..command import RemoteCommand, remote_words
from . import shared


@click.command(cls=RemoteCommand, sections={"After a failure": ("--max-restarts", "--checkpoint-dir")})
@click.argument("script", metavar="SCRIPT")
@shared.cluster_id
@click.option("--data-script", metavar="SCRIPT", help="Script to run once on each node first; all wait for the last.")
@click.option(
    "--nproc-per-node",
    type=shared.ProcessCount(),
    default="auto",
    metavar="N",
    help="Processes on each node.  [default: auto, one for each GPU]",
)
@click.option(
    "--checkpoint-dir",
    metavar="DIR",
    help="Folder of the nodes, $AWSB_CHECKPOINT_DIR.  [default: checkpoints in the code folder]",
)
@shared.log_dir
@click.option(
    "--max-restarts",
    type=click.IntRange(0),
    default=0,
    metavar="K",
    help="Start a job that failed again, up to K times; nodes that are lost are replaced.",
)
@click.option("--detach", is_flag=True, help="Only start it: see `cluster attach`.")
@click.option("--no-sync", is_flag=True, help="Run the code that is on the nodes already.")
@options.regions
@click.pass_context
def run(ctx: click.Context, /, script: str, regions: tuple[str, ...], **given: Any) -> None:
    """Run a script on all nodes of a cluster at once, and stop it everywhere when it fails on one.

    SCRIPT is in the current folder, or below it. That folder is sent to all nodes as by `sync`, to ~/NAME. A .py is run
    by torchrun, one process for each GPU; a .sh once on each node, with AWSB_NODE_RANK, AWSB_NUM_NODES,
    AWSB_MASTER_ADDR and more as variables. The words after `--` are its arguments.

    The lines of each node are shown with its rank, and written to --log-dir. The exit code is 0 only if the job
    succeeded on all nodes. Ctrl-C stops it on all of them. If this program is killed the job goes on: see
    `cluster attach`.

    \b
    Examples:
      aws-bootstrap cluster run --cluster-id team train.py
      aws-bootstrap cluster run --cluster-id team --data-script prepare_data.py train.py -- --steps 300
      aws-bootstrap cluster run --cluster-id team --detach train.py
    """
    from ...workflows.cluster import run as workflow
    from ...workflows.cluster.code import code_in

    app = ctx.ensure_object(App)
    if given["detach"] and given["max_restarts"]:
        raise UsageError(
            "--max-restarts needs this machine, which replaces nodes, until the end of the job.",
            hint="Leave out --detach.",
        )
    arguments = tuple(remote_words(ctx) or ())
    code = code_in(Path.cwd(), script, given["data_script"])
    request = workflow.Request(
        cluster_id=given["cluster_id"],
        code=code,
        arguments=arguments,
        regions=regions,
        nproc=given["nproc_per_node"],
        checkpoint_dir=given["checkpoint_dir"],
        log_dir=given["log_dir"],
        max_restarts=given["max_restarts"],
        detach=given["detach"],
        sync=not given["no_sync"],
    )
    app.show(workflow.run(app, request))
