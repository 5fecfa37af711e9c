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
    """The account that publishes images of such names."""
    name = name_filter.lower()
    return next((owner for prefix, owner in _OWNERS.items() if name.startswith(prefix)), "amazon")


def login_user(image_name: str) -> str:
    """The account that the image's cloud-init gives our key to."""
    name = image_name.lower()
    amazon_or_red_hat = "amazon linux" in name or name.startswith(("al2", "amzn", "rhel", "red hat"))
    return "ec2-user" if amazon_or_red_hat else DEFAULT_USER


@explained()
def find_images(ec2: Any, name_filter: str) -> list[Image]:
    """The available images of that name pattern, newest first."""
    filters = [{"Name": "name", "Values": [name_filter]}, {"Name": "state", "Values": ["available"]}]
    found = pages(ec2, "describe_images", "Images", Owners=[image_owner(name_filter)], Filters=filters)
    return sorted(map(_image, found), key=lambda image: image.creation_date, reverse=True)


@explained()
def image_names(ec2: Any, image_ids: Iterable[str]) -> dict[str, str]:
    """The names of these images, by id; those that were withdrawn are left out."""
    filters = [{"Name": "image-id", "Values": sorted(image_ids)}]
    return {raw["ImageId"]: raw.get("Name", "") for raw in pages(ec2, "describe_images", "Images", Filters=filters)}


def latest_ami(images: Sequence[Image], architectures: Sequence[str]) -> Image | None:
    """The first (so the newest) image that runs on one of the architectures."""
    return next((image for image in images if image.architecture in architectures), None)


def _image(raw: dict[str, Any]) -> Image:
    root = raw.get("RootDeviceName") or "/dev/sda1"
    mappings = [m.get("Ebs", {}) for m in raw.get("BlockDeviceMappings", []) if m.get("DeviceName") == root]
    sizes = [ebs.get("VolumeSize", 0) for ebs in mappings]
    return Image(
        image_id=raw["ImageId"],
        name=raw.get("Name", ""),
        architecture=raw.get("Architecture", ""),
        creation_date=raw.get("CreationDate", ""),
        root_device=root,
        root_size_gb=max(sizes, default=0),
    )
