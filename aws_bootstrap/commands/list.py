"""`list`: instance types and images that a region has."""

from __future__ import annotations

import click

from .. import defaults
from ..app import App
from . import options
from .command import Group
from .params import Pattern

_PREFIX = Pattern("prefix", r"[a-z0-9][a-z0-9.*-]*", "g4dn")
_AMIS = defaults.AMI_FILTER.partition(" (")[0] + "*"


@click.group("list", cls=Group)
def list_() -> None:
    """List instance types or images.

    \b
    Examples:
      aws-bootstrap list instance-types --prefix g5
      aws-bootstrap list amis --region us-east-1
    """


@list_.command("instance-types")
@click.option("--prefix", default="g4dn", show_default=True, type=_PREFIX, help="Prefix of the type's name.")
@options.regions_here
@click.pass_obj
def instance_types(app: App, prefix: str, regions: tuple[str, ...]) -> None:
    """List the instance types of a family, with their GPUs.

    \b
    Examples:
      aws-bootstrap list instance-types
      aws-bootstrap list instance-types --prefix p5 -r us-east-1 -r us-west-2
      aws-bootstrap list instance-types --prefix g -o json
    """
    from ..workflows import listing as workflow

    app.show(workflow.instance_types(app, prefix, regions))


@list_.command()
@click.option("--filter", "name_filter", default=_AMIS, show_default=True, help="AMI name pattern; quote it.")
@options.regions_here
@click.pass_obj
def amis(app: App, name_filter: str, regions: tuple[str, ...]) -> None:
    """List the newest images with a name pattern.

    Each region shows 20 at most.

    \b
    Examples:
      aws-bootstrap list amis
      aws-bootstrap list amis --filter "Deep Learning*PyTorch*" --region us-east-1
    """
    from ..workflows import listing as workflow

    app.show(workflow.images(app, name_filter, regions))
