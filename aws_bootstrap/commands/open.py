"""`open`: a box's JupyterLab in the browser, a folder of a box in an editor."""

from __future__ import annotations

import click

from .. import output
from ..app import App
from ..errors import UsageError
from . import options
from .command import Command, any_case


@click.command(cls=Command, name="open")
@click.argument("program", metavar="jupyter|code|cursor|zed", type=any_case(["jupyter", "code", "cursor", "zed"]))
@click.argument("name", required=False, metavar="[ALIAS_OR_ID]", shell_complete=options.complete_alias)
@click.option("--path", metavar="FOLDER", help="Folder of the box, for an editor.  [default: workspace]")
@click.option("--print", "printed", is_flag=True, help="Print the bare command, and open nothing.")
@click.pass_obj
def open_(app: App, /, program: str, name: str | None, path: str | None, printed: bool) -> None:
    """Open JupyterLab of a box in the browser, or a folder of it in an editor.

    `jupyter` keeps a tunnel open until Ctrl-C. Its token reaches the browser by a file that only you can read, which
    is removed at the end. The browser is opened only at a terminal. `code`, `cursor` and `zed` start that editor.

    \b
    Examples:
      aws-bootstrap open jupyter
      aws-bootstrap open code aws-gpu1 --path project
    """
    from ..workflows import opening, pick

    if program == "jupyter" and path is not None:
        raise UsageError("--path has no effect with jupyter.", hint="Leave out: --path")
    host = pick.host(app, name)
    if program != "jupyter":
        app.show(opening.editor(app, program, host, path, printed=printed))
    elif printed:
        app.show(opening.jupyter_command(host))
    else:
        with opening.jupyter(app, host) as (tunnel, report):
            app.show(report)
            opening.show_page(app, report.link or "")
            output.info("The tunnel is open. Ctrl-C ends it.")
            tunnel.hold()
