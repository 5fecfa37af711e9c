"""`cluster terminate`: end a cluster, with nothing of it left."""

from __future__ import annotations

import click

from ...app import App
from ...errors import UsageError
from ...invocation import PROGRAM
from .. import options
from ..command import Command
from .names import chosen, cluster_id


@click.command(cls=Command)
@cluster_id
@options.yes
@click.option("--keep-ebs", is_flag=True, help="Keep the data volumes.")
@options.regions
@click.pass_obj
def terminate(
    app: App, name: str | None, cluster_id: str | None, yes: bool, keep_ebs: bool, regions: tuple[str, ...]
) -> None:
    """Terminate a cluster, and delete its data volumes and what its nodes share.

    Returns once nothing of it is left: its nodes are terminated, their aliases removed, the placement group and the
    security group deleted. The same command completes one that broke off, also where all nodes have ended already.

    \b
    Examples:
      aws-bootstrap cluster terminate train
      aws-bootstrap cluster terminate --cluster-id train --keep-ebs --yes
    """
    from ...views import questions
    from ...workflows import selection
    from ...workflows.cluster import ending as workflow

    requested = chosen(name, cluster_id)
    if requested is None:
        raise UsageError("No cluster is named.", hint=f"Show your clusters: {PROGRAM} cluster status")
    app.require_answer(yes=yes)
    remains = workflow.find(app, requested, regions)
    question = ""
    if not remains.is_empty and not yes:
        targets = selection.to_confirm(app, remains.targets, keep_ebs=keep_ebs)
        question = questions.cluster_termination(requested, remains.region, targets)
    if remains.is_empty or app.confirm(question, yes=yes):
        app.show(workflow.apply(app, remains, keep_ebs=keep_ebs))
    else:
        app.show(workflow.declined(remains))
