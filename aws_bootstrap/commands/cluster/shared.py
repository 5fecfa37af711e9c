"""Options that several commands of a cluster's jobs share."""

from __future__ import annotations

from typing import Any

import click

from ..command import RemoteCommand
from ..params import LocalPath
from .names import complete_cluster

cluster_id = click.option(
    "--cluster-id", required=True, metavar="ID", shell_complete=complete_cluster, help="The cluster."
)
job = click.option("--job", metavar="JOB", help="The job.  [default: the one that runs, else the newest]")
log_dir = click.option(
    "--log-dir",
    type=LocalPath(),
    default=".aws-bootstrap/clusters",
    show_default=True,
    metavar="DIR",
    help="Folder of this machine for the logs, one a rank, as DIR/ID/JOB/rank-0.log.",
)


class ScriptCommand(RemoteCommand):
    """A command that passes arguments to a script on boxes: the words after `--`."""

    remote_metavar = "ARGUMENT"


class ProcessCount(click.ParamType[Any]):
    """A number of processes, or `auto`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `auto`, or the number as text; a usage error unless it is 1 or more."""
        text = str(value)
        if text != "auto" and not (text.isdecimal() and int(text) > 0):
            self.fail(f"'{value}' is no number of processes; write it like 4, or auto.", param, ctx)
        return text
