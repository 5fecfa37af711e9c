"""AMIs: the newest that matches, and who logs in to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..aws import explained, pages
from ..config import DEFAULT_USER
from ..models import Image

_OWNERS = {"ubuntu": "099720109477", "rhel": "309956199498", "red hat": "309956199498"}
"""Canonical's and Red Hat's accounts, by how their image names begin; Amazon publishes the rest."""


def image_owner(name_filter: str) -> str:
    """Return the account that publishes images of such names."""
    name = name_filter.lower()
    for prefix, owner in _OWNERS.items():
        if name.startswith(prefix):
            return owner
    return "amazon"


def login_user(image_name: str) -> str:
    """Return the account that the image's cloud-init gives our key to."""
    name = image_name.lower()
    if "amazon linux" in name:
        return "ec2-user"
    if name.startswith(("al2", "amzn", "rhel", "red hat")):
        return "ec2-user"
    return DEFAULT_USER


@explained()
def find_images(ec2: Any, name_filter: str) -> list[Image]:
    """Return the available images of that name pattern, newest first."""
    filters = [
        {"Name": "name", "Values": [name_filter]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = pages(ec2, "describe_images", "Images", Owners=[image_owner(name_filter)], Filters=filters)
    images = [_image(raw) for raw in found]
    return sorted(images, key=_creation_date, reverse=True)


def _creation_date(image: Image) -> str:
    """Return what to sort images by."""
    return image.creation_date


@explained()
def image_names(ec2: Any, image_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of these images, by id; those that were withdrawn are left out."""
    filters = [{"Name": "image-id", "Values": sorted(image_ids)}]
    names: dict[str, str] = {}
    for raw in pages(ec2, "describe_images", "Images", Filters=filters):
        names[raw["ImageId"]] = raw.get("Name", "")
    return names


def latest_ami(images: Sequence[Image], architectures: Sequence[str]) -> Image | None:
    """Return the first (so the newest) image that runs on one of the architectures."""
    for image in images:
        if image.architecture in architectures:
            return image
    return None


def _image(raw: dict[str, Any]) -> Image:
    """Return the image of a reply. Its root size is 0 where the reply does not say it."""
    root = raw.get("RootDeviceName") or "/dev/sda1"
    sizes: list[int] = []
    for mapping in raw.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == root:
            ebs = mapping.get("Ebs", {})
            sizes.append(ebs.get("VolumeSize", 0))
    return Image(
        image_id=raw["ImageId"],
        name=raw.get("Name", ""),
        architecture=raw.get("Architecture", ""),
        creation_date=raw.get("CreationDate", ""),
        root_device=root,
        root_size_gb=max(sizes, default=0),
    )
