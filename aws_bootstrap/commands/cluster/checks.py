"""`cluster prepare` and `cluster test`: is the cluster fit for a job?"""

from __future__ import annotations

import click

from ...app import App
from .. import options
from ..command import Command
from .names import chosen, cluster_id


@click.command(cls=Command)
@cluster_id
@click.option("--no-canary", is_flag=True, help="Leave out the training on all nodes together.")
@options.regions
@click.pass_obj
def prepare(app: App, name: str | None, cluster_id: str | None, no_canary: bool, regions: tuple[str, ...]) -> None:
    """Check a cluster before a long job: compare its nodes, and measure their network.

    Every node must answer, have the same GPUs, driver, CUDA, PyTorch and Python, a clock within a second of the others,
    a host name that the others reach, and space on its disk. Then a canary trains a small model on all of them. The
    exit code is 1 if something differs or fails.

    \b
    Examples:
      aws-bootstrap cluster prepare train
      aws-bootstrap cluster prepare --cluster-id train --no-canary -o json
    """
    from ...workflows.cluster import nodes
    from ...workflows.cluster import prepare as workflow

    cluster = nodes.chosen(app, chosen(name, cluster_id), regions)
    app.show(workflow.prepare(app, cluster, canary=not no_canary))


@click.command(cls=Command)
@cluster_id
@click.option("--bandwidth", is_flag=True, help="Measure all-reduce too, as nccl-tests does.")
@options.regions
@click.pass_obj
def test(app: App, name: str | None, cluster_id: str | None, bandwidth: bool, regions: tuple[str, ...]) -> None:
    """Test that all GPUs of a cluster compute together: all-reduce, and a few steps of training.

    \b
    Examples:
      aws-bootstrap cluster test train
      aws-bootstrap cluster test train --bandwidth
    """
    from ...workflows.cluster import nodes
    from ...workflows.cluster import prepare as workflow

    cluster = nodes.chosen(app, chosen(name, cluster_id), regions)
    app.show(workflow.test(app, cluster, bandwidth=bandwidth))
