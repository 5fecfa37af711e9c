"""The images that this tool creates of its boxes, and the snapshots behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import TAG_OWNER, TAG_RESOURCES, TAG_SETUP, TAG_SOURCE
from ..errors import AwsError
from ..models import ImageSnapshot, OwnImage
from . import tags
from .instances import UNKNOWN

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import BlockDeviceMappingTypeDef, FilterTypeDef, ImageTypeDef

#: What EC2 answers about an image that does not exist, or no longer.
_MISSING = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")


@dataclass(frozen=True)
class ImageRequest:
    """An image of one box to create, with the name and the tags of it and of its snapshot."""

    instance_id: str
    name: str
    description: str
    #: The attached devices that the image must not contain: EC2 copies every one that is not named here.
    without: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Devices:
    """The EBS devices of an instance."""

    #: None for an instance whose root device is no EBS volume: EC2 cannot create an image of it.
    root: str | None
    others: tuple[str, ...]


@translate_aws_errors()
def find_devices(ec2: EC2Client, instance_id: str) -> Devices:
    """Return the devices of the instance, those of every owner. AwsError if EC2 does not know it."""
    reply = ec2.describe_instances(InstanceIds=[instance_id])
    raw = reply["Reservations"][0]["Instances"][0]
    root = raw["RootDeviceName"]
    has_root = False
    others: list[str] = []
    for mapping in raw["BlockDeviceMappings"]:
        if mapping["DeviceName"] == root:
            has_root = "Ebs" in mapping
        else:
            others.append(mapping["DeviceName"])
    return Devices(root if has_root else None, tuple(others))


@translate_aws_errors()
def create_image(ec2: EC2Client, request: ImageRequest) -> str:
    """Create an image of the instance's root disk; return its id. The instance reboots.

    Image and snapshot are tagged in the call that creates them. A device that is mapped to nothing is left out:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    mappings: list[BlockDeviceMappingTypeDef] = []
    for device in request.without:
        mappings.append({"DeviceName": device, "NoDevice": ""})
    specifications = [
        tags.specification("image", request.name, request.tags),
        tags.specification("snapshot", request.name, request.tags),
    ]
    reply = ec2.create_image(
        InstanceId=request.instance_id,
        Name=request.name,
        Description=request.description,
        BlockDeviceMappings=mappings,
        TagSpecifications=specifications,
        NoReboot=False,
    )
    return reply["ImageId"]


@translate_aws_errors()
def find_own_images(ec2: EC2Client) -> list[OwnImage]:
    """Return this tool's images in the client's region, disabled ones included: their snapshots bill as well."""
    return _filtered(ec2, [tags.CREATED_BY_FILTER])


@translate_aws_errors()
def find_own_image(ec2: EC2Client, name: str) -> OwnImage | None:
    """Return this tool's image of that name; None if there is none, or not yet."""
    for image in _filtered(ec2, [tags.CREATED_BY_FILTER, {"Name": "name", "Values": [name]}]):
        return image
    return None


def _filtered(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[OwnImage]:
    found: list[OwnImage] = []
    pages = ec2.get_paginator("describe_images").paginate(Owners=["self"], Filters=filters, IncludeDisabled=True)
    for page in pages:
        for raw in page["Images"]:
            found.append(_own_image(raw, ec2.meta.region_name))
    return found


def _own_image(raw: ImageTypeDef, region: str) -> OwnImage:
    """Return the image of a reply, with the snapshots behind it."""
    snapshots: list[ImageSnapshot] = []
    for mapping in raw.get("BlockDeviceMappings", []):
        disk = mapping.get("Ebs", {})
        if "SnapshotId" in disk:
            snapshots.append(ImageSnapshot(disk["SnapshotId"], disk.get("VolumeSize", 0)))
    known_tags = tags.values(raw.get("Tags", []))
    return OwnImage(
        image_id=raw["ImageId"],
        region=region,
        name=raw.get("Name", ""),
        state=raw.get("State", UNKNOWN),
        created=_time(raw.get("CreationDate", "")),
        snapshots=tuple(snapshots),
        owner=known_tags.get(TAG_OWNER),
        source=known_tags.get(TAG_SOURCE),
        resources=known_tags.get(TAG_RESOURCES),
        setup=known_tags.get(TAG_SETUP),
        state_reason=raw.get("StateReason", {}).get("Message"),
    )


def _time(text: str) -> datetime | None:
    """Return the time that EC2 writes as text, like `2026-01-10T12:00:00.000Z`; None for any other text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@translate_aws_errors()
def snapshot_progress(ec2: EC2Client, image: OwnImage) -> str:
    """Return how much of the image's snapshot is stored, like `42%`; empty while EC2 does not say."""
    for snapshot in image.snapshots:
        filters: list[FilterTypeDef] = [{"Name": "snapshot-id", "Values": [snapshot.snapshot_id]}]
        for raw in ec2.describe_snapshots(Filters=filters)["Snapshots"]:
            return raw.get("Progress", "")
    return ""


def deregister_image(ec2: EC2Client, image_id: str) -> None:
    """Deregister the image; one that no longer exists is no error. Boxes that were launched from it go on."""
    try:
        with translate_aws_errors(reading=False):
            ec2.deregister_image(ImageId=image_id)
    except AwsError as exc:
        if exc.aws_code not in _MISSING:
            raise


@translate_aws_errors()
def find_deregistration(ec2: EC2Client, image_id: str) -> bool | None:
    """Return True once the image no longer exists; None while it does."""
    for image in _filtered(ec2, [{"Name": "image-id", "Values": [image_id]}]):
        if image.state != "deregistered":
            return None
    return True
