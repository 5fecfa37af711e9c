"""`cluster run`: a script on all nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ...app import App
from ...errors import UsageError
from .. import options
from ..command import remote_words
from . import shared
from .missing import launch_missing

if TYPE_CHECKING:
    from ...workflows.cluster.run import Request


_OPTIONS = (
    shared.cluster_id,
    click.option(
        "--data-script", metavar="SCRIPT", help="Script to run once on each node first; all wait for the last."
    ),
    click.option(
        "--nproc-per-node",
        type=shared.ProcessCount(),
        default="auto",
        metavar="N",
        help="Processes on each node.  [default: auto, one for each GPU]",
    ),
    shared.log_dir,
    click.option("--detach", is_flag=True, help="Only start it: see `cluster attach`."),
    click.option("--no-sync", is_flag=True, help="Run the code that is on the nodes already."),
    options.regions,
    click.option(
        "--max-restarts",
        type=click.IntRange(0),
        default=0,
        metavar="K",
        help="Start a job that failed again, up to K times; nodes that are lost are replaced.",
    ),
    click.option(
        "--checkpoint-dir",
        metavar="DIR",
        help="Folder of the nodes, $AWSB_CHECKPOINT_DIR.  [default: checkpoints in the code folder]",
    ),
)


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with its options, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=shared.ScriptCommand, sections={"After a failure": ("--max-restarts", "--checkpoint-dir")})
@click.argument("script", metavar="SCRIPT")
@_with_options
@click.pass_context
def run(ctx: click.Context, /, script: str, **given: Any) -> None:
    """Run a script on all nodes of a cluster at once, and stop it everywhere when it fails on one.

    SCRIPT is in the current folder, or below it. That folder is sent to all nodes as by `sync`, to ~/NAME. A .py is run
    by torchrun, one process for each GPU; a .sh once on each node, with AWSB_NODE_RANK, AWSB_NUM_NODES,
    AWSB_MASTER_ADDR and more as variables.

    The lines of each node are shown with its rank, and written to --log-dir. The exit code is 0 only if the job
    succeeded on all nodes. Ctrl-C stops it on all of them. If this program is killed the job goes on: see
    `cluster attach`.

    \b
    Examples:
      aws-bootstrap cluster run --cluster-id train train.py -- --steps 300
      aws-bootstrap cluster run --cluster-id train --data-script data.sh train.py
      aws-bootstrap cluster run --cluster-id train --detach train.py
    """
    app = ctx.ensure_object(App)
    if given["detach"] and given["max_restarts"]:
        raise UsageError(
            "--max-restarts needs this machine, which replaces nodes, until the end of the job.",
            hint="Leave out --detach.",
        )
    from ...workflows.cluster import run as workflow

    app.show(workflow.run(app, _request(ctx, script, given), partial(launch_missing, ctx)))


def _request(ctx: click.Context, script: str, given: Mapping[str, Any]) -> Request:
    """Return what the command line requests. UsageError if the script cannot be run."""
    from ...workflows.cluster.code import code_in
    from ...workflows.cluster.run import Request

    arguments = tuple(remote_words(ctx) or ())
    return Request(
        cluster_id=given["cluster_id"],
        code=code_in(Path.cwd(), script, given["data_script"]),
        arguments=arguments,
        regions=given["regions"],
        nproc=given["nproc_per_node"],
        checkpoint_dir=given["checkpoint_dir"],
        log_dir=given["log_dir"],
        max_restarts=given["max_restarts"],
        detach=given["detach"],
        sync=not given["no_sync"],
        again=_again(ctx, script, arguments),
    )


def _again(ctx: click.Context, script: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the words of this command: what was typed, and what its variables and the config files have is there."""
    words = ["cluster", "run"]
    for param in ctx.command.params:
        is_typed = ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if not isinstance(param, click.Option) or not param.expose_value or not is_typed:
            continue
        value = ctx.params[param.name or ""]
        if param.is_flag:
            words.append(param.opts[0])
            continue
        for one in value if param.multiple else (value,):
            words += [param.opts[0], str(one)]
    words.append(script)
    if arguments:
        words += ["--", *arguments]
    return tuple(words)
