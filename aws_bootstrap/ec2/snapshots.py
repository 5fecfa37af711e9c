"""EBS snapshots that this tool created in the caller's account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import TAG_OWNER
from ..models import Snapshot
from . import tags
from .instances import UNKNOWN

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import SnapshotTypeDef


@translate_aws_errors()
def find_snapshots(ec2: EC2Client) -> list[Snapshot]:
    """Return this tool's snapshots in the client's region. Those that other accounts share are left out."""
    found: list[Snapshot] = []
    pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=[tags.CREATED_BY_FILTER])
    for page in pages:
        for raw in page["Snapshots"]:
            found.append(_snapshot(raw, ec2.meta.region_name))
    return found


def _snapshot(raw: SnapshotTypeDef, region: str) -> Snapshot:
    """Return the snapshot of a reply. Its size is that of its volume."""
    return Snapshot(
        snapshot_id=raw["SnapshotId"],
        region=region,
        size_gb=raw.get("VolumeSize", 0),
        state=raw.get("State", UNKNOWN),
        created=raw.get("StartTime"),
        tier=raw.get("StorageTier", "standard"),
        owner=tags.values(raw.get("Tags", [])).get(TAG_OWNER),
    )
