"""AMIs: the newest that matches, and who logs in to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..aws import pages
from ..errors import BootstrapError
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
    return "ec2-user" if amazon_or_red_hat else "ubuntu"


def latest_ami(ec2: Any, name_filter: str, architectures: Sequence[str]) -> Image:
    """The newest available image of that name pattern which runs on one of the architectures."""
    filters = [
        {"Name": "name", "Values": [name_filter]},
        {"Name": "state", "Values": ["available"]},
        {"Name": "architecture", "Values": list(architectures)},
    ]
    found = list(pages(ec2, "describe_images", "Images", Owners=[image_owner(name_filter)], Filters=filters))
    if not found:
        raise BootstrapError(
            f"No AMI named '{name_filter}' for {' or '.join(architectures)} in {ec2.meta.region_name}.",
            hint="Give another pattern with --ami-filter; quote it, and end it with *.",
            code="not-found",
        )
    return _image(max(found, key=lambda raw: raw["CreationDate"]))


def _image(raw: dict[str, Any]) -> Image:
    root = raw.get("RootDeviceName") or "/dev/sda1"
    sizes = [m["Ebs"].get("VolumeSize", 0) for m in raw.get("BlockDeviceMappings", []) if m.get("DeviceName") == root]
    return Image(
        image_id=raw["ImageId"],
        name=raw.get("Name", ""),
        architecture=raw.get("Architecture", ""),
        creation_date=raw["CreationDate"],
        root_device=root,
        root_size_gb=max(sizes, default=0),
    )
