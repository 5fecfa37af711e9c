"""Create a data volume: empty, or from a snapshot, which is copied first where it is in another region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from ... import defaults, ec2, output
from ...errors import BootstrapError, IncompleteError, Interrupted, UsageError
from ...invocation import PROGRAM
from ...models import Resource, Snapshot, Volume, VolumeReport
from ...models.cost import gp3_cost, snapshot_cost
from ..unknown import Calls
from . import find

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ...app import App

_TYPE = defaults.INSTANCE_TYPES[0]


@dataclass
class _Creation:
    """A creation, as far as it is done: an error or an interrupt names what exists."""

    app: App
    region: str
    zone: str
    calls: Calls
    copy_id: str | None = None
    volume_id: str | None = None

    def resources(self) -> tuple[Resource, ...]:
        """Return what exists because of it."""
        found: list[Resource] = []
        if self.copy_id:
            found.append(Resource("snapshot", self.copy_id, self.region, billing=True))
        if self.volume_id:
            found.append(Resource("volume", self.volume_id, self.region, billing=True))
        return tuple(found)


def empty(app: App, size_gb: int, zone: str | None, region: str | None) -> VolumeReport:
    """Create an empty data volume in the zone; without one, in the cheapest zone of the region for a spot box."""
    if zone is None:
        zone = _cheapest_zone(app, region or app.aws.region)
    else:
        find.enabled(app, app.aws.regions(), zone)
    creation = _Creation(app, find.region_of(zone), zone, Calls(app.lookup_seconds))
    return _create(creation, size_gb, None)


def _cheapest_zone(app: App, region: str) -> str:
    """Return the zone in which the default instance type costs the least on spot now: a box must be launched there."""
    prices = ec2.spot_prices(app.aws.ec2(region), [_TYPE])
    cheapest = min(prices.values(), key=attrgetter("price"), default=None)
    if cheapest is None:
        raise UsageError(
            f"No zone of {region} has {_TYPE} on spot.", hint=f"Choose a zone: --zone {region}a", code="usage"
        )
    return cheapest.availability_zone


def restored(app: App, snapshot_id: str, zone: str | None, size_gb: int | None) -> VolumeReport:
    """Create a data volume from the snapshot, once it is completed. It is never formatted.

    It is in the zone, else in the cheapest one of the snapshot's region. UsageError for a size below the snapshot's.
    """
    found = find.snapshot(app, snapshot_id)
    if zone is None:
        zone = _cheapest_zone(app, found.region)
    else:
        find.enabled(app, app.aws.regions(), zone)
    size = size_gb or found.size_gb
    if size < found.size_gb:
        raise UsageError(
            f"{snapshot_id} needs {found.size_gb} GB, and {size} GB were passed.",
            hint=f"Pass --size {found.size_gb} or more.",
        )
    creation = _Creation(app, find.region_of(zone), zone, Calls(app.lookup_seconds))
    return _create(creation, size, found)


def _create(creation: _Creation, size_gb: int, snapshot: Snapshot | None) -> VolumeReport:
    """Create the volume and return the report. An error or interrupt names what exists by then."""
    try:
        source = None
        if snapshot:
            source = _usable_snapshot(creation, snapshot)
        return _volume(creation, size_gb, snapshot, source)
    except KeyboardInterrupt as exc:
        creation.calls.settle()
        left = creation.resources()
        hint = f"List what exists: {PROGRAM} volume ls"
        if left:
            hint += f"\nDelete it: {PROGRAM} volume rm {' '.join(one.id for one in left)}"
        raise Interrupted.of(exc, hint=hint).add_details(resources=left) from exc
    except BootstrapError as exc:
        raise _with_resources(creation, exc) from exc


def _with_resources(creation: _Creation, error: BootstrapError) -> BootstrapError:
    """Return the error with what exists, and how to delete it."""
    left = creation.resources()
    if not left and not creation.calls.unknown:
        return error
    hints = [error.hint]
    if left:
        hints.append(f"Delete what exists: {PROGRAM} volume rm {' '.join(one.id for one in left)}")
    if creation.calls.unknown:
        hints.append(f"EC2 may have created {', '.join(creation.calls.unknown)} anyway: {PROGRAM} volume ls")
    incomplete = IncompleteError(str(error), hint="\n".join(filter(None, hints)), code=error.code)
    return incomplete.add_details(resources=left)


def _usable_snapshot(creation: _Creation, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot once it is completed; of another region's, a copy in this one."""
    client = creation.app.aws.ec2(snapshot.region)
    if snapshot.state != "completed":
        output.info(f"Waiting until {snapshot.snapshot_id} is stored ({snapshot.progress or 'progress unknown'})")
        snapshot = ec2.wait_completed(client, snapshot.snapshot_id)
    if snapshot.region == creation.region:
        return snapshot
    cost = snapshot_cost(snapshot.size_gb)
    about = "price unknown" if cost is None else f"at most about ${cost:.2f} a month"
    output.info(f"Copying {snapshot.snapshot_id} to {creation.region} ({about})")
    return _copied(creation, snapshot)


def _copied(creation: _Creation, snapshot: Snapshot) -> Snapshot:
    """Copy the snapshot into the region of the creation; return the copy once it is completed."""
    client = creation.app.aws.ec2(creation.region)
    name = find.unique_name("copy")

    def note(copy_id: str) -> None:
        creation.copy_id = copy_id

    creation.calls.make(
        "the copy of the snapshot",
        partial(
            ec2.copy_snapshot, creation.app.aws.ec2_once(creation.region), snapshot, name, find.owner_tags(creation.app)
        ),
        look=partial(_find_copy, client, name),
        note=note,
    )
    return ec2.wait_completed(client, str(creation.copy_id))


def _find_copy(client: EC2Client, name: str) -> str | None:
    """Return the id of the snapshot of that name."""
    found = ec2.find_named_snapshot(client, name)
    if found is None:
        return None
    return found.snapshot_id


def _volume(creation: _Creation, size_gb: int, requested: Snapshot | None, source: Snapshot | None) -> VolumeReport:
    """Create the volume from `source`, or empty, and wait until it can be attached."""
    client = creation.app.aws.ec2(creation.region)
    name = find.unique_name("data")
    snapshot_id = source.snapshot_id if source else None

    def note(volume: Volume) -> None:
        creation.volume_id = volume.volume_id

    output.info(f"Creating a volume of {size_gb} GB in {creation.zone}")
    creation.calls.make(
        "the volume",
        partial(ec2.create_volume, client, creation.zone, size_gb, name, find.owner_tags(creation.app), snapshot_id),
        look=partial(ec2.find_named_volume, client, name),
        note=note,
    )
    available = ec2.wait_volume_available(client, name)
    return VolumeReport(
        volume_id=available.volume_id,
        region=creation.region,
        availability_zone=creation.zone,
        size_gb=available.size_gb,
        monthly_cost_usd=gp3_cost(available.size_gb),
        snapshot_id=requested.snapshot_id if requested else None,
        copied_snapshot_id=creation.copy_id,
    )
