"""EBS data volumes: found by the tag that names their instance, deleted only if this tool made them."""

from __future__ import annotations

from typing import Any

from ..aws import explained, pages
from ..config import CREATED_BY, TAG_CREATED_BY, TAG_INSTANCE, TAG_KEEP
from ..errors import AwsError
from ..models import Volume
from ..retry import poll
from . import tags

EBS_DEVICE_NAME = "/dev/sdf"
EBS_MOUNT_POINT = "/data"


def find_volumes(ec2: Any) -> list[Volume]:
    """Every data volume of ours in the client's region, and those of the user's that were attached for a box."""
    filters = [{"Name": "tag-key", "Values": [TAG_INSTANCE]}]
    return [_volume(raw, ec2.meta.region_name) for raw in pages(ec2, "describe_volumes", "Volumes", Filters=filters)]


def find_ebs_volumes_for_instance(ec2: Any, instance_id: str) -> list[Volume]:
    """The data volumes that are meant for this instance."""
    filters = [{"Name": f"tag:{TAG_INSTANCE}", "Values": [instance_id]}]
    return [_volume(raw, ec2.meta.region_name) for raw in pages(ec2, "describe_volumes", "Volumes", Filters=filters)]


def wait_detached(ec2: Any, volume_id: str, timeout: float = 600.0) -> bool:
    """Whether the volume came free in time. One that is gone counts as free."""
    return bool(poll(lambda: _state(ec2, volume_id) in ("available", "gone") or None, timeout=timeout, every=1.0))


def delete_ebs_volume(ec2: Any, volume_id: str) -> None:
    """Delete the volume, for good; one that is gone already is fine."""
    try:
        with explained():
            ec2.delete_volume(VolumeId=volume_id)
    except AwsError as exc:
        if exc.aws_code != "InvalidVolume.NotFound":
            raise


def keep_ebs_volume(ec2: Any, volume_id: str) -> None:
    """Mark the volume as meant to stay."""
    with explained():
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": TAG_KEEP, "Value": "true"}])


def _state(ec2: Any, volume_id: str) -> str:
    try:
        with explained():
            return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"]
    except AwsError as exc:
        if exc.aws_code == "InvalidVolume.NotFound":
            return "gone"
        raise


def _volume(raw: dict[str, Any], region: str) -> Volume:
    named = tags.values(raw)
    return Volume(
        volume_id=raw["VolumeId"],
        region=region,
        size_gb=raw["Size"],
        state=raw["State"],
        availability_zone=raw["AvailabilityZone"],
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        kept=TAG_KEEP in named,
        instance_id=named.get(TAG_INSTANCE),
    )
