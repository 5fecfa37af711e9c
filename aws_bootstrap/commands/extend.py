"""`extend`: change when a box ends by itself."""

from __future__ import annotations

import re

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import Command
from .params import Limit

#: A word that is a time rather than an alias.
_TIME = re.compile(r"(\d+[smhd])+")


@click.command(cls=Command)
@click.argument("name", metavar="ALIAS_OR_ID", shell_complete=options.complete_alias)
@click.argument("time", required=False, type=Limit(), metavar="[TIME]")
@click.option("--never", is_flag=True, help="Remove the deadline and the idle limit: nothing ends the box any more.")
@click.option("--idle-timeout", type=Limit(), help="End the box after it had no work for this time, such as 90m.")
@click.pass_obj
def extend(app: App, /, name: str, time: float | None, never: bool, idle_timeout: float | None) -> None:
    """Change when a box ends by itself.

    TIME, such as 2h or 30m, is added to the deadline of the box. A box without a deadline gets one, so long from now.
    The box must answer by SSH; the tags that `status` reads are changed after it. The id of a cluster means all its
    nodes: they get the same limits.

    \b
    Examples:
      aws-bootstrap extend aws-gpu1 2h
      aws-bootstrap extend aws-gpu1 --never --idle-timeout 90m
    """
    from ..workflows.cluster import limits as workflow
    from ..workflows.extend import LimitChange

    if time is not None and never:
        raise UsageError("TIME sets a deadline, and --never removes it.", hint="Pass one of them, not both.")
    if time is None and not never and idle_timeout is None:
        if _TIME.fullmatch(name):
            raise UsageError(f"{name} is a time, and no box was named.", hint=f"Run: {PROGRAM} extend aws-gpu1 {name}")
        raise UsageError(
            "Nothing to change was named.", hint=f"Add time, for example: {PROGRAM} extend {name} 2h, or pass --never."
        )
    app.show(workflow.apply(app, name, LimitChange(time, never, idle_timeout)))
