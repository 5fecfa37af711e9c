"""`volume`: data volumes and their snapshots."""

from __future__ import annotations

import click

from ..app import App
from ..errors import UsageError
from . import options
from .command import Group
from .params import SNAPSHOT, VOLUME_OR_SNAPSHOT, ZONE

_SIZE = click.IntRange(1, 65536)
_zone = click.option("--zone", type=ZONE, help="Availability zone, such as us-west-2a.")


@click.group("volume", cls=Group, default="ls")
def volume() -> None:
    """List, create, copy, grow and delete data volumes.

    A volume is in one zone, and can be attached to boxes there alone. Its data comes to another zone or region by a
    snapshot. `volume` alone is `volume ls`.

    \b
    Examples:
      aws-bootstrap volume
      aws-bootstrap volume snapshot aws-gpu1
      aws-bootstrap volume grow aws-gpu1 --size 200
    """


@volume.command()
@options.regions
@click.pass_obj
def ls(app: App, regions: tuple[str, ...]) -> None:
    """List data volumes and snapshots with their zone and price.

    \b
    Examples:
      aws-bootstrap volume ls
      aws-bootstrap volume ls -r us-west-2 -o json
    """
    from ..workflows.volume import listing

    app.show(listing.gather(app, regions))


@volume.command()
@click.option("--size", required=True, type=_SIZE, metavar="GB", help="Size of the volume in GB.")
@_zone
@options.region
@click.pass_obj
def create(app: App, size: int, zone: str | None, region: str | None) -> None:
    """Create an empty gp3 volume, encrypted and kept.

    Without --zone it is in the zone of the region where the default instance type is cheapest on spot.

    \b
    Examples:
      aws-bootstrap volume create --size 100
      aws-bootstrap volume create --size 100 --zone us-west-2b
    """
    from ..workflows.volume import create as workflow

    if zone and region:
        raise UsageError("--zone names the region, too.", hint="Pass --zone or --region, not both.")
    app.show(workflow.empty(app, size, zone, region))


@volume.command()
@click.argument("name", metavar="VOLUME_OR_ALIAS", shell_complete=options.complete_alias)
@click.pass_obj
def snapshot(app: App, name: str) -> None:
    """Create a snapshot of a data volume. The volume may be in use.

    EC2 stores it in the background. `volume restore` waits for that.

    \b
    Examples:
      aws-bootstrap volume snapshot aws-gpu1
      aws-bootstrap volume snapshot vol-0123456789abcdef0
    """
    from ..workflows.volume import snapshot as workflow

    app.show(workflow.apply(app, name))


@volume.command()
@click.argument("snapshot_id", type=SNAPSHOT, metavar="SNAPSHOT")
@_zone
@click.option("--size", type=_SIZE, metavar="GB", help="Size in GB.  [default: that of the snapshot]")
@click.pass_obj
def restore(app: App, snapshot_id: str, zone: str | None, size: int | None) -> None:
    """Create a volume from a snapshot, in any zone or region. It is never formatted, and kept.

    In another region than the snapshot's, the snapshot is copied first. The copy bills until you delete it.

    \b
    Examples:
      aws-bootstrap volume restore snap-0123456789abcdef0 --zone us-west-2b
      aws-bootstrap volume restore snap-0123456789abcdef0 --size 200
    """
    from ..workflows.volume import create as workflow

    app.show(workflow.restored(app, snapshot_id, zone, size))


@volume.command()
@click.argument("name", metavar="VOLUME_OR_ALIAS", shell_complete=options.complete_alias)
@click.option("--size", required=True, type=_SIZE, metavar="GB", help="New size in GB, not in addition.")
@options.yes
@click.pass_obj
def grow(app: App, name: str, size: int, yes: bool) -> None:
    """Grow a data volume, and its filesystem where a running box has it mounted.

    It cannot shrink again. EC2 changes a volume once in six hours. If it has that size already, only the filesystem is
    grown.

    \b
    Examples:
      aws-bootstrap volume grow aws-gpu1 --size 200
      aws-bootstrap volume grow vol-0123456789abcdef0 --size 300 --yes
    """
    from ..views import volume as views
    from ..workflows.volume import grow as workflow

    app.require_answer(yes=yes)
    found, planned = workflow.plan(app, name, size)
    if app.confirm(views.grow_question(planned), yes=yes):
        planned = workflow.apply(app, found, planned)
    app.show(planned)


@volume.command()
@click.argument("names", nargs=-1, required=True, type=VOLUME_OR_SNAPSHOT, metavar="VOLUME_OR_SNAPSHOT...")
@options.yes
@click.pass_obj
def rm(app: App, names: tuple[str, ...], yes: bool) -> None:
    """Delete volumes and snapshots that this tool created, kept ones too.

    \b
    Examples:
      aws-bootstrap volume rm vol-0123456789abcdef0
      aws-bootstrap volume rm snap-0123456789abcdef0 --yes
    """
    from ..models import RemoveReport
    from ..views import volume as views
    from ..workflows.volume import remove as workflow

    app.require_answer(yes=yes)
    planned = workflow.plan(app, names)
    if app.confirm(views.remove_question(planned), yes=yes):
        app.show(workflow.apply(app, planned))
    else:
        app.show(RemoveReport((), declined=True))
