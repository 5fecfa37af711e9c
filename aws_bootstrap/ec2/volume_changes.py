"""Data volumes that no launch creates: empty ones, ones restored from a snapshot, and volumes that grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import FORMAT_ONCE, TAG_FORMAT, TAG_INSTANCE, TAG_KEEP
from ..errors import AwsError, BootstrapError
from ..models import Volume
from ..retry import poll
from . import tags
from .volumes import find_named_volume, volume_of

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import CreateVolumeRequestTypeDef

#: The size of a volume can be used in these states of its modification.
_USABLE = ("optimizing", "completed")
_NEVER_MODIFIED = "InvalidVolumeModification.NotFound"


def create_volume(
    ec2: EC2Client,
    zone: str,
    size_gb: int,
    name: str,
    extra: Mapping[str, str],
    snapshot_id: str | None = None,
) -> Volume:
    """Create an encrypted gp3 volume that belongs to no box yet, tagged in the call that creates it; return it.

    It is marked as kept. Without a snapshot it is empty, and may be formatted once.
    """
    marks = {**extra, TAG_INSTANCE: "", TAG_KEEP: "true"}
    if snapshot_id is None:
        marks[TAG_FORMAT] = FORMAT_ONCE
    request: CreateVolumeRequestTypeDef = {
        "AvailabilityZone": zone,
        "Size": size_gb,
        "VolumeType": "gp3",
        "Encrypted": True,
        "ClientToken": name,
        "TagSpecifications": [tags.specification("volume", name, marks)],
    }
    if snapshot_id:
        request["SnapshotId"] = snapshot_id
    with translate_aws_errors():
        raw = ec2.create_volume(**request)
        raw.setdefault("Size", size_gb)
        raw.setdefault("State", "creating")
        raw.setdefault("AvailabilityZone", zone)
        return volume_of(raw, ec2.meta.region_name)


def wait_volume_available(ec2: EC2Client, name: str, *, timeout: float = 120.0, every: float = 0.5) -> Volume:
    """Return the volume of that name once it can be attached. BootstrapError if it cannot after so long."""

    def check() -> Volume | None:
        volume = find_named_volume(ec2, name)
        if volume is not None and volume.state == "error":
            raise BootstrapError(f"EC2 could not create {volume.volume_id}.", code="volume-failed")
        if volume is not None and volume.state == "available":
            return volume
        return None

    available = poll(check, timeout=timeout, every=every)
    if available is None:
        raise BootstrapError(f"The volume {name} is not available after {timeout:.0f} s.", code="volume-failed")
    return available


def grow_volume(ec2: EC2Client, volume_id: str, size_gb: int) -> int:
    """Request that EC2 grow the volume; return the requested size. `wait_grown` waits until it has it."""
    with translate_aws_errors(reading=False):
        ec2.modify_volume(VolumeId=volume_id, Size=size_gb)
    return size_gb


def find_growth(ec2: EC2Client, volume_id: str, size_gb: int) -> int | None:
    """Return the size once a modification of the volume to this size exists; None while there is none."""
    state, target = _last_modification(ec2, volume_id)
    if state is not None and target == size_gb:
        return size_gb
    return None


def wait_grown(ec2: EC2Client, volume_id: str, *, timeout: float = 900.0, every: float = 1.0) -> None:
    """Wait until the volume has its new size. BootstrapError if the modification fails, or takes too long."""

    def check() -> bool | None:
        state, _ = _last_modification(ec2, volume_id)
        if state == "failed":
            raise BootstrapError(f"EC2 could not grow {volume_id}.", code="volume-failed")
        return True if state in _USABLE else None

    if not poll(check, timeout=timeout, every=every):
        raise BootstrapError(f"{volume_id} is still growing after {timeout:.0f} s.", code="volume-busy")


def _last_modification(ec2: EC2Client, volume_id: str) -> tuple[str | None, int | None]:
    """Return the state and the target size of the volume's last modification; None for what there is not.

    EC2 answers with an error for a volume that was never modified.
    """
    try:
        with translate_aws_errors():
            found = ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
    except AwsError as exc:
        if exc.aws_code != _NEVER_MODIFIED:
            raise
        found = []
    if not found:
        return None, None
    last = found[-1]
    return last.get("ModificationState"), last.get("TargetSize")
