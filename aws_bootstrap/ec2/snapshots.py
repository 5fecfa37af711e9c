"""EBS snapshots: found by this tool's tag or by id, created with it, deleted only where they have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import CREATED_BY, TAG_CREATED_BY, TAG_OWNER
from ..errors import AwsError, BootstrapError
from ..models import Snapshot
from ..retry import poll
from . import tags
from .instances import UNKNOWN

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, SnapshotResponseTypeDef, SnapshotTypeDef


@translate_aws_errors()
def find_snapshots(ec2: EC2Client) -> list[Snapshot]:
    """Return this tool's snapshots in the client's region. Those that other accounts share are left out."""
    return _filtered(ec2, [tags.CREATED_BY_FILTER])


def _filtered(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[Snapshot]:
    """Return the account's own snapshots that pass the filters."""
    found: list[Snapshot] = []
    for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters):
        for raw in page["Snapshots"]:
            found.append(_snapshot(raw, ec2.meta.region_name))
    return found


def find_snapshot(ec2: EC2Client, snapshot_id: str) -> Snapshot | None:
    """Return the account's own snapshot of that id, whoever created it; None if there is none."""
    with translate_aws_errors():
        found = _filtered(ec2, [{"Name": "snapshot-id", "Values": [snapshot_id]}])
    return found[0] if found else None


def find_named_snapshot(ec2: EC2Client, name: str) -> Snapshot | None:
    """Return this tool's snapshot with that Name tag; None if there is none."""
    with translate_aws_errors():
        found = _filtered(ec2, [tags.CREATED_BY_FILTER, {"Name": "tag:Name", "Values": [name]}])
    return found[0] if found else None


def create_snapshot(
    ec2_once: EC2Client, volume_id: str, name: str, description: str, extra: Mapping[str, str]
) -> Snapshot:
    """Create a snapshot of the volume, tagged in the call that creates it; return it. It is `pending` for a while.

    `ec2_once` must be a client without SDK retries: the call has no client token, so that a repeated one creates two.
    """
    with translate_aws_errors():
        raw = ec2_once.create_snapshot(
            VolumeId=volume_id,
            Description=description,
            TagSpecifications=[tags.specification("snapshot", name, extra)],
        )
        return _snapshot(raw, ec2_once.meta.region_name)


def copy_snapshot(ec2_once: EC2Client, snapshot: Snapshot, name: str, extra: Mapping[str, str]) -> str:
    """Copy a snapshot of another region into the client's, encrypted and tagged; return the id of the copy.

    `ec2_once` must be a client without SDK retries, as for `create_snapshot`.
    """
    with translate_aws_errors():
        reply = ec2_once.copy_snapshot(
            SourceRegion=snapshot.region,
            SourceSnapshotId=snapshot.snapshot_id,
            Description=f"Copy of {snapshot.snapshot_id} of {snapshot.region}",
            Encrypted=True,
            TagSpecifications=[tags.specification("snapshot", name, extra)],
        )
        return reply["SnapshotId"]


def wait_completed(ec2: EC2Client, snapshot_id: str, *, timeout: float = 7200.0, every: float = 1.0) -> Snapshot:
    """Return the snapshot once it is completed. BootstrapError if it fails, or takes too long."""

    def check() -> Snapshot | None:
        snapshot = find_snapshot(ec2, snapshot_id)
        if snapshot is None or snapshot.state == "error":
            raise BootstrapError(f"The snapshot {snapshot_id} failed, or was deleted.", code="snapshot-failed")
        if snapshot.state == "completed":
            return snapshot
        return None

    completed = poll(check, timeout=timeout, every=every)
    if completed is None:
        message = f"The snapshot {snapshot_id} is not completed after {timeout:.0f} s."
        raise BootstrapError(message, hint="Run the command again later.", code="snapshot-pending")
    return completed


def delete_snapshot(ec2: EC2Client, snapshot_id: str) -> None:
    """Delete the snapshot for good; one that no longer exists is no error."""
    try:
        with translate_aws_errors():
            ec2.delete_snapshot(SnapshotId=snapshot_id)
    except AwsError as exc:
        if exc.aws_code != "InvalidSnapshot.NotFound":
            raise


def find_snapshot_deletion(ec2: EC2Client, snapshot_id: str) -> bool | None:
    """Return True once the snapshot is deleted; None while it is not."""
    if find_snapshot(ec2, snapshot_id) is None:
        return True
    return None


def _snapshot(raw: SnapshotTypeDef | SnapshotResponseTypeDef, region: str) -> Snapshot:
    """Return the snapshot of a reply. Its size is that of its volume."""
    named = tags.values(raw.get("Tags", []))
    return Snapshot(
        snapshot_id=raw["SnapshotId"],
        region=region,
        size_gb=raw.get("VolumeSize", 0),
        state=raw.get("State", UNKNOWN),
        created=raw.get("StartTime"),
        tier=raw.get("StorageTier", "standard"),
        owner=named.get(TAG_OWNER),
        volume_id=raw.get("VolumeId") or None,
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        progress=raw.get("Progress") or None,
    )
