"""List the data volumes and snapshots of the regions named, or of all regions. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, parallel
from ...errors import BootstrapError
from ...models import Instance, Snapshot, SnapshotRow, Volume, VolumeList, VolumeRow
from ...models import cost as money
from ...models.volume import VolumeUse
from ...outcomes import failed_regions
from .. import costs
from ..inventory import Inventory, managed_hosts, read_with
from ..owners import find_owner, is_yours

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ...app import App


def gather(app: App, regions: Sequence[str]) -> VolumeList:
    """Return the data volumes, each with its use and price, and the snapshots of this tool."""
    hosts = managed_hosts(app)
    try:
        (inventory, snapshots), caller = parallel.gather(
            partial(read_with, _read, app, regions, hosts=hosts), partial(find_owner, app)
        )
    except BootstrapError as exc:
        failed = failed_regions(exc, regions)
        if failed:
            exc.attach_result(VolumeList((), (), tuple(one.region for one in failed), failed))
        raise
    volumes = [_volume_row(volume, inventory, caller) for volume in inventory.volumes]
    rows: list[SnapshotRow] = []
    for in_region in snapshots.values():
        rows += [_snapshot_row(snapshot, caller) for snapshot in in_region]
    listed = VolumeList(
        volumes=tuple(volumes),
        snapshots=tuple(rows),
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        regions_denied=inventory.denied,
    )
    if inventory.failed:
        return listed
    monthly = [row.monthly_cost_usd for row in volumes]
    monthly += [row.monthly_cost_usd for row in rows]
    return replace(listed, monthly_cost_usd=money.total(monthly, digits=2))


def _read(client: EC2Client, instance_ids: Sequence[str]) -> tuple[list[Instance], list[Volume], list[Snapshot]]:
    """Return one region's instances, data volumes and snapshots."""
    return parallel.gather(
        partial(ec2.find_instances, client), partial(ec2.find_volumes, client), partial(ec2.find_snapshots, client)
    )


def _volume_row(volume: Volume, inventory: Inventory, caller: str | None) -> VolumeRow:
    aliases = {box.instance_id: box.alias for box in inventory.boxes}
    return VolumeRow(
        volume_id=volume.volume_id,
        region=volume.region,
        availability_zone=volume.availability_zone,
        size_gb=volume.size_gb,
        state=volume.state,
        use=_use(volume, inventory),
        instance_id=volume.attached_to,
        ssh_alias=aliases.get(volume.attached_to or ""),
        monthly_cost_usd=costs.monthly_cost(volume),
        owner=volume.owner,
        yours=is_yours(volume.owner, caller),
        created_by_us=volume.created_by_us,
    )


def _use(volume: Volume, inventory: Inventory) -> VolumeUse:
    """Return what becomes of the volume. One without a box is an orphan only where its region says so."""
    if volume.attached_to:
        return "attached"
    if volume.kept:
        return "kept"
    if volume in inventory.orphans():
        return "orphan"
    return "unknown"


def _snapshot_row(snapshot: Snapshot, caller: str | None) -> SnapshotRow:
    return SnapshotRow(
        snapshot_id=snapshot.snapshot_id,
        region=snapshot.region,
        size_gb=snapshot.size_gb,
        state=snapshot.state,
        volume_id=snapshot.volume_id,
        created=snapshot.created,
        monthly_cost_usd=money.snapshot_cost(snapshot.size_gb, snapshot.tier),
        owner=snapshot.owner,
        yours=is_yours(snapshot.owner, caller),
    )
