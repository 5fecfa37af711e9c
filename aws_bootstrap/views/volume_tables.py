"""The tables of data volumes and snapshots."""

from __future__ import annotations

from ..models import GrowReport, RemoveReport, SnapshotReport, VolumeList, VolumeReport
from .table import Columns, Table, tables

_VOLUMES: Columns = {
    "volume_id": "Volume",
    "availability_zone": "Zone",
    "size_gb": "GB",
    "state": "State",
    "use": "Use",
    "instance_id": "Instance",
    "ssh_alias": "Alias",
    "monthly_cost_usd": "USD/month",
    "owner": "Owner",
}
_SNAPSHOTS: Columns = {
    "snapshot_id": "Snapshot",
    "region": "Region",
    "size_gb": "GB",
    "state": "State",
    "volume_id": "Of",
    "created": "Created",
    "monthly_cost_usd": "USD/month at most",
    "owner": "Owner",
}
_CREATED: Columns = {
    "volume_id": "Volume",
    "availability_zone": "Zone",
    "size_gb": "GB",
    "snapshot_id": "From",
    "monthly_cost_usd": "USD/month",
}
_GROWN: Columns = {
    "volume_id": "Volume",
    "region": "Region",
    "previous_size_gb": "GB before",
    "size_gb": "GB",
    "filesystem": "Filesystem",
    "monthly_cost_usd": "USD/month",
}
_REMOVED: Columns = {
    "type": "Type",
    "id": "Id",
    "region": "Region",
    "size_gb": "GB",
    "monthly_cost_usd": "USD/month",
    "deleted": "Deleted",
    "error": "Reason",
}
_NEW_SNAPSHOT: Columns = {
    "snapshot_id": "Snapshot",
    "volume_id": "Of",
    "region": "Region",
    "size_gb": "GB",
    "state": "State",
    "monthly_cost_usd": "USD/month at most",
}


@tables.register
def volume_list_tables(report: VolumeList) -> list[Table]:
    """Return the volumes, and below them the snapshots."""
    return [Table(_VOLUMES, report.volumes), Table(_SNAPSHOTS, report.snapshots)]


@tables.register
def volume_tables(report: VolumeReport) -> list[Table]:
    """Return the new volume."""
    return [Table(_CREATED, [report])]


@tables.register
def snapshot_tables(report: SnapshotReport) -> list[Table]:
    """Return the new snapshot."""
    return [Table(_NEW_SNAPSHOT, [report])]


@tables.register
def grow_tables(report: GrowReport) -> list[Table]:
    """Return the volume that has grown."""
    return [Table(_GROWN, [report])]


@tables.register
def remove_tables(report: RemoveReport) -> list[Table]:
    """Return what was to be deleted."""
    return [Table(_REMOVED, report.removed)]
