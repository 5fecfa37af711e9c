"""`terminate`: end boxes, with nothing left billing."""

from __future__ import annotations

import click

from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[INSTANCE_ID_OR_ALIAS]...", shell_complete=options.complete_alias)
@options.region
@options.yes
@options.everyone
@click.option("--keep-ebs", is_flag=True, help="Keep the data volumes.")
@click.pass_obj
def terminate(app: App, names: tuple[str, ...], region: str | None, yes: bool, everyone: bool, keep_ebs: bool) -> None:
    """Terminate boxes and delete their data volumes.

    Without names these are your boxes in the region. Others need their name, or --everyone.

    \b
    Examples:
      aws-bootstrap terminate aws-gpu1
      aws-bootstrap terminate aws-gpu1 --keep-ebs
      aws-bootstrap terminate --region us-west-2 --yes
    """
    from ..models import TerminateReport
    from ..views import questions
    from ..workflows import selection
    from ..workflows import terminate as workflow

    options.check_effects(options.beside_names("--everyone"))
    app.require_answer(yes=yes)
    targets = selection.find_targets(app, names, region, everyone=everyone)
    question = ""
    if targets.boxes and not yes:
        question = questions.terminate(selection.to_confirm(app, targets, keep_ebs=keep_ebs))
    if not targets.boxes:
        app.show(TerminateReport((), left_out=targets.left_out, region=region or app.aws.region))
    elif not app.confirm(question, yes=yes):
        app.show(TerminateReport((), left_out=targets.left_out, declined=True))
    else:
        app.show(workflow.apply(app, targets, keep_ebs=keep_ebs))
