"""`cluster`: boxes that run one job together. One file a command."""

from __future__ import annotations

import click

from ..command import Group
from .launch import launch


@click.group(cls=Group)
def cluster() -> None:
    """Launch several boxes as one cluster, and run jobs on all of them."""


# To add a command, write its file and add it here, in the order of use.
COMMANDS: tuple[click.Command, ...] = (launch,)

for _command in COMMANDS:
    cluster.add_command(_command)
