"""`forward`: ports of this machine that lead to a box."""

from __future__ import annotations

import click

from .. import output
from ..app import App
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[ALIAS] PORT...", shell_complete=options.complete_alias)
@click.option("--print", "printed", is_flag=True, help="Print the bare ssh command, and open nothing.")
@click.pass_obj
def forward(app: App, /, words: tuple[str, ...], printed: bool) -> None:
    """Forward ports of this machine to a box, until Ctrl-C.

    PORT is one of the box, such as 8888, or 9000:8888 for port 9000 here. If the port here is taken, a free one is used
    and shown. Only this machine can use the ports. A lost connection is opened again. Structured output prints one
    document when the ports are open.

    \b
    Examples:
      aws-bootstrap forward 6006
      aws-bootstrap forward aws-gpu1 8888 9000:8000
    """
    from ..workflows import forward as workflow
    from ..workflows import pick

    name, ports = workflow.split_words(words)
    host = pick.host(app, name)
    if printed:
        app.show(workflow.report(host, ports, printed=True))
        return
    with workflow.tunnel(app, host, ports) as tunnel:
        app.show(workflow.report(host, tunnel.ports))
        output.info("The tunnel is open. Ctrl-C ends it.")
        tunnel.hold()
