"""`cluster`: boxes that run one job together. One file a command."""

from __future__ import annotations

import click

from ..command import Group
from .checks import prepare, test
from .export import export
from .jobs import attach, cancel, logs
from .launch import launch
from .run import run
from .status import status
from .terminate import terminate


@click.group(cls=Group)
def cluster() -> None:
    """Launch several boxes as one cluster, and run jobs on all of them.

    \b
    Examples:
      aws-bootstrap cluster launch --cluster-id train --nodes 2
      aws-bootstrap cluster status
      aws-bootstrap cluster run --cluster-id train train.py
      aws-bootstrap cluster terminate train
    """


# To add a command, write its file and add it here, in the order of use.
COMMANDS: tuple[click.Command, ...] = (
    launch,
    status,
    prepare,
    test,
    run,
    logs,
    attach,
    cancel,
    terminate,
    export,
)

for _command in COMMANDS:
    cluster.add_command(_command)
