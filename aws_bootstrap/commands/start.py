"""`start`: turn stopped boxes on again."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from . import options
from .command import Command
from .params import Limit


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="ALIAS_OR_ID...", shell_complete=options.complete_alias)
@click.option("--ttl", type=Limit(), help="End the box by itself after this time, such as 8h: a new deadline.")
@click.option("--never", is_flag=True, help="Remove the deadline and the idle limit.")
@click.pass_obj
def start(app: App, /, names: tuple[str, ...], ttl: float | None, never: bool) -> None:
    """Start stopped boxes, and wait until they answer by SSH.

    Each gets a new address, which is written into its alias. A box whose deadline has passed needs --ttl or --never.

    \b
    Examples:
      aws-bootstrap start aws-gpu1
      aws-bootstrap start aws-gpu1 --ttl 8h
    """
    from ..workflows.extend import LimitChange
    from ..workflows.power import start as workflow

    if ttl is not None and never:
        raise UsageError("--ttl sets a deadline, and --never removes it.", hint="Pass one of them, not both.")
    limits = None
    if ttl is not None or never:
        limits = LimitChange(never=never, ttl=ttl)
    app.show(workflow.apply(app, names, limits))
