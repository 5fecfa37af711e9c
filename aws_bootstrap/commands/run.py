"""`run`: a command that goes on without a connection."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from ..invocation import PROGRAM
from . import options
from .command import RemoteCommand, remote_words
from .params import RUN_NAME


@click.command(cls=RemoteCommand)
@click.argument("box", required=False, metavar="[ALIAS]", shell_complete=options.complete_alias)
@click.option("--name", type=RUN_NAME, metavar="NAME", help="Name of the run.  [default: the next number]")
@click.option("--dir", "folder", metavar="DIR", help="Folder of the box to run it in.  [default: the home folder]")
@click.option(
    "--then", type=click.Choice(["terminate"]), help="Terminate the box after the run, whatever its exit code."
)
@click.option("--follow", "-f", is_flag=True, help="Show its log, and exit with its exit code, as `attach` does.")
@click.pass_context
def run(
    ctx: click.Context, /, box: str | None, name: str | None, folder: str | None, then: str | None, follow: bool
) -> int | None:
    """Run a command on a box that goes on without you.

    systemd of the box runs it, so that neither a logout nor a lost connection ends it. It has the variables of a login:
    ~/venv is active. While it runs, the box is not idle. Its log and exit code stay on the box: see `logs`, `attach`
    and `ps`. COMMAND is as that of `ssh`.

    With --then terminate the guardian of the box ends it as at a deadline: your programs in ~/.aws-bootstrap/on-end.d
    run, and /data is unmounted. The log is copied to /data/aws-bootstrap-runs before, if a data volume is there. The
    root disk is deleted.

    \b
    Examples:
      aws-bootstrap run aws-gpu1 --dir workspace -- python train.py
      aws-bootstrap run aws-gpu1 --name train -- 'cd workspace; python train.py'
      aws-bootstrap run aws-gpu1 --follow -- python gpu_benchmark.py
    """
    from ..workflows import logs, pick, remote, runs

    app = ctx.ensure_object(App)
    words = remote_words(ctx)
    if not words:
        raise UsageError(
            "There is no command.", hint=f"Add one: {PROGRAM} run {box or 'aws-gpu1'} -- python gpu_benchmark.py"
        )
    new = runs.NewRun(remote.script_of(words), folder, name, then)
    if not follow:
        app.show(runs.start(app, pick.host(app, box), new))
        return None
    with remote.failing_as_ssh():
        host = pick.host(app, box)
        started = runs.start(app, host, new).run
        report = logs.attach(app, host, logs.Log(run=started.run))
    app.show(report)
    return report.exit_code
