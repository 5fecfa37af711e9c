"""AMIs: the newest that matches, and its login user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import DEFAULT_USER, TAG_OWNER, TAG_RESOURCES, TAG_USER
from ..models import Image
from . import tags
from .instances import UNKNOWN

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

#: As AWS's Deep Learning images say it in their description.
_SUPPORTED = re.compile(r"Supported EC2 instances: *([^.]*)")
#: Canonical's and Red Hat's accounts, by how their image names begin; Amazon publishes the rest.
_OWNERS = {"ubuntu": "099720109477", "rhel": "309956199498", "red hat": "309956199498"}


def image_owner(name_filter: str) -> str:
    """Return the AWS account that publishes images of such names."""
    name = name_filter.lower()
    for prefix, owner in _OWNERS.items():
        if name.startswith(prefix):
            return owner
    return "amazon"


def login_user(image_name: str) -> str:
    """Return the login user: the account for which the image's cloud-init installs the key pair."""
    name = image_name.lower()
    if "amazon linux" in name:
        return "ec2-user"
    if name.startswith(("al2", "amzn", "rhel", "red hat")):
        return "ec2-user"
    return DEFAULT_USER


@translate_aws_errors()
def find_images(ec2: EC2Client, name_filters: Sequence[str]) -> list[Image]:
    """Return the available images of these name patterns, newest first."""
    filters: list[FilterTypeDef] = [
        {"Name": "name", "Values": list(name_filters)},
        {"Name": "state", "Values": ["available"]},
    ]
    owners = sorted({image_owner(name_filter) for name_filter in name_filters})
    images: list[Image] = []
    for page in ec2.get_paginator("describe_images").paginate(Owners=owners, Filters=filters):
        for raw in page["Images"]:
            images.append(_image(raw))
    return sorted(images, key=_creation_date, reverse=True)


def _creation_date(image: Image) -> str:
    """Return what to sort images by."""
    return image.creation_date


@translate_aws_errors()
def login_users(ec2: EC2Client, image_ids: Iterable[str]) -> dict[str, str]:
    """Return the login users of these images, by id; those that were withdrawn are left out.

    A box may be older than its image's deprecation, after which EC2 shows the image only if that is requested.
    """
    filters: list[FilterTypeDef] = [{"Name": "image-id", "Values": sorted(image_ids)}]
    users: dict[str, str] = {}
    for page in ec2.get_paginator("describe_images").paginate(Filters=filters, IncludeDeprecated=True):
        for raw in page["Images"]:
            image = _image(raw)
            users[image.image_id] = image.user or login_user(image.name)
    return users


@translate_aws_errors()
def find_image(ec2: EC2Client, image_id: str) -> Image | None:
    """Return the image of that id, whatever its state; None if the region has none that the caller may use."""
    filters: list[FilterTypeDef] = [{"Name": "image-id", "Values": [image_id]}]
    for page in ec2.get_paginator("describe_images").paginate(Filters=filters, IncludeDeprecated=True):
        for raw in page["Images"]:
            return _image(raw)
    return None


@translate_aws_errors()
def find_account_images(ec2: EC2Client, *, name: str | None = None, owner: str | None = None) -> list[Image]:
    """Return the account's own images, newest first: those of that name, those that this tool baked for that owner."""
    filters: list[FilterTypeDef] = []
    if name is not None:
        filters.append({"Name": "name", "Values": [name]})
    if owner is not None:
        filters += [tags.CREATED_BY_FILTER, {"Name": f"tag:{TAG_OWNER}", "Values": [owner]}]
    images: list[Image] = []
    for page in ec2.get_paginator("describe_images").paginate(Owners=["self"], Filters=filters):
        for raw in page["Images"]:
            images.append(_image(raw))
    return sorted(images, key=_creation_date, reverse=True)


def latest_ami(images: Sequence[Image], architectures: Sequence[str]) -> Image | None:
    """Return the first (so the newest) image that runs on one of the architectures."""
    for image in images:
        if image.architecture in architectures:
            return image
    return None


def _image(raw: ImageTypeDef) -> Image:
    """Return the image of a reply. Its root size is 0 if the reply lacks it."""
    root = raw.get("RootDeviceName") or "/dev/sda1"
    sizes: list[int] = []
    for mapping in raw.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == root:
            sizes.append(mapping.get("Ebs", {}).get("VolumeSize", 0))
    known_tags = tags.values(raw.get("Tags", []))
    return Image(
        image_id=raw["ImageId"],
        name=raw.get("Name", ""),
        architecture=raw.get("Architecture", ""),
        creation_date=raw.get("CreationDate", ""),
        root_device=root,
        root_size_gb=max(sizes, default=0),
        supported_families=_supported_families(raw.get("Description", "")),
        user=known_tags.get(TAG_USER),
        resources=known_tags.get(TAG_RESOURCES),
        state=raw.get("State", UNKNOWN),
    )


def _supported_families(description: str) -> tuple[str, ...]:
    """Return the instance families that the image supports, as AWS's Deep Learning images name them: G4dn, G5."""
    found = _SUPPORTED.search(description)
    if found is None:
        return ()
    return tuple(family.strip() for family in found[1].split(","))
