"""`cluster attach`, `logs` and `cancel`: jobs that were started before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...app import App
from .. import options
from ..command import Command
from . import shared
from .names import chosen, cluster_id


@click.command(cls=Command)
@cluster_id
@shared.job
@shared.log_dir
@options.regions
@click.pass_obj
def attach(
    app: App, name: str | None, cluster_id: str | None, job: str | None, log_dir: Path, regions: tuple[str, ...]
) -> None:
    """Follow a job on all nodes to its end.

    The lines of each node are shown with its rank, from the beginning, and written to --log-dir. The exit code is 0
    only if the job succeeded on all nodes. Ctrl-C detaches: the job goes on.

    \b
    Examples:
      aws-bootstrap cluster attach train
      aws-bootstrap cluster attach --cluster-id train -o json
    """
    from ...workflows.cluster import existing, nodes

    app.show(existing.attach(app, nodes.chosen(app, chosen(name, cluster_id), regions), job, log_dir))


@click.command(cls=Command)
@cluster_id
@shared.job
@click.option("--rank", type=click.IntRange(0), metavar="RANK", help="Only this node, its log unchanged.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended; a lost connection is renewed.")
@click.option("--lines", "-n", type=click.IntRange(0), metavar="LINES", help="Only so many lines, from the end.")
@options.regions
@click.pass_obj
def logs(
    app: App,
    /,
    name: str | None,
    cluster_id: str | None,
    job: str | None,
    rank: int | None,
    **how: Any,
) -> None:
    """Show the logs of a job, node by node.

    The exit code is 0 whatever the job's outcome is: `cluster attach` has that.

    \b
    Examples:
      aws-bootstrap cluster logs train -n 20
      aws-bootstrap cluster logs train --rank 1
    """
    from ...workflows.cluster import existing, nodes
    from ...workflows.logs import Log

    lines, follow = how["lines"], how["follow"]
    if follow:
        app.require_streams("Leave out --follow, or wait for the job's end with `cluster attach`.")
    log = Log(lines=lines, follow=follow)
    cluster = nodes.chosen(app, chosen(name, cluster_id), how["regions"])
    app.show(existing.show_logs(app, cluster, job, rank, log))


@click.command(cls=Command)
@cluster_id
@shared.job
@options.regions
@click.pass_obj
def cancel(app: App, name: str | None, cluster_id: str | None, job: str | None, regions: tuple[str, ...]) -> None:
    """Stop a job on all nodes, and wait until it has ended there.

    Its processes get SIGTERM, and SIGKILL 10 seconds later. The nodes go on, and bill.

    \b
    Examples:
      aws-bootstrap cluster cancel train
      aws-bootstrap cluster cancel --cluster-id train -o json
    """
    from ...workflows.cluster import existing, nodes

    app.show(existing.cancel(app, nodes.chosen(app, chosen(name, cluster_id), regions), job))
