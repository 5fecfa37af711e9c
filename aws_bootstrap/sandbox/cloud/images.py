"""Images as DescribeImages shows them: with their root device, which launchers copy into their request.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import amis

from . import catalog

if TYPE_CHECKING:
    from .world import World

#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html (Name)
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")


class SandboxImage(amis.Ami):
    """moto's image, with the root device of a real one."""

    root_gb: int = 8
    #: The name of the image that its instance was launched from, or its own.
    base_name: str = ""
    #: The mappings of further devices of its instance.
    others: tuple[dict[str, Any], ...] = ()

    def __init__(self, ec2_backend: Any, *args: Any, **facts: Any) -> None:
        """Create the image; of an instance, with a snapshot of its root volume. moto's are in us-east-1a."""
        facts.setdefault("region_name", f"{ec2_backend.region_name}a")
        super().__init__(ec2_backend, *args, **facts)
        self.base_name = self.name or ""
        instance = facts.get("instance")
        if instance:
            root = instance.block_device_mapping[instance.root_device_name]
            self.root_device_name = instance.root_device_name
            self.root_gb = int(root.size)
            self.ebs_snapshot.volume.size = self.root_gb
            source = ec2_backend.amis.get(instance.image_id)
            self.base_name = source.base_name if source else ""

    @classmethod
    def of(cls, image: catalog.Image, backend: Any) -> SandboxImage:
        """Return the image in the backend's region."""
        facts = image.moto(backend.region_name)
        facts["creation_date"] = amis.parse_timestamp(facts["creation_date"])
        ami = cls(backend, region_name=f"{backend.region_name}a", **facts)
        ami.root_gb = image.root_gb
        return ami

    @property
    def snapshots(self) -> list[Any]:
        """Return the snapshots behind it."""
        found = [self.ebs_snapshot]
        for mapping in self.others:
            found.append(self.ec2_backend.snapshots[mapping["Ebs"]["SnapshotId"]])
        return found

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Return the mapping of the root device, and of the other devices of its instance."""
        root = {
            "DeleteOnTermination": True,
            "Encrypted": False,
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.root_gb,
            "VolumeType": "gp3",
        }
        return [{"DeviceName": self.root_device_name, "Ebs": root}, *self.others]

    def complete(self) -> None:
        """Change from `pending` to `available`."""
        if self.state == "pending":
            self.state = "available"


class Images:
    """The part of the EC2 backend that creates and removes images. Mixed into `SandboxBackend`, whose state it uses."""

    world: World

    def create_image_of(self, instance_id: str, name: str, facts: dict[str, Any], *, reboot: bool) -> SandboxImage:
        """Return a new image of the instance. It is pending for some time, and the instance reboots meanwhile.

        Every attached EBS volume is copied but those mapped to no device:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/creating-an-ami-ebs.html
        """
        self._check_image_name(name)
        instance = self.get_instance(instance_id)  # type: ignore[attr-defined]
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError("IncorrectInstanceState", f"The instance {instance_id} is {instance.state}.")
        image: SandboxImage = self.create_image(instance_id, name, facts["description"], [])  # type: ignore[attr-defined]
        image.state = "pending"
        image.others = tuple(
            self._mapping_of(*mapping, image.id) for mapping in self._copied(instance, facts["without"])
        )
        image.add_tags(facts["image_tags"])
        for snapshot in image.snapshots:
            snapshot.add_tags(facts["snapshot_tags"])
        self.world.machines.copy_disk(instance_id, image.id, reboot=reboot and instance.state == "running")
        self.world.scheduler.after(self.world.timing.image, image.complete)
        return image

    def _check_image_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise EC2ClientError("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long.")
        for image in self.amis.values():  # type: ignore[attr-defined]
            if image.name == name and image.owner_id == catalog.ACCOUNT:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")

    def check_image_available(self, image_id: str) -> None:
        """Raise EC2's error for a launch from an image that is still pending."""
        image = self.amis.get(image_id)  # type: ignore[attr-defined]
        if image and image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image_id}]' is no longer available")

    def _copied(self, instance: Any, without: set[str]) -> list[tuple[str, Any]]:
        """Return the devices that are copied beside the root device."""
        found = []
        for device, block in instance.get_block_device_mapping:
            if device != instance.root_device_name and device not in without:
                found.append((device, block))
        return found

    def _mapping_of(self, device: str, block: Any, image_id: str) -> dict[str, Any]:
        """Return the mapping of a device, with a new snapshot of its volume."""
        description = f"Created by CreateImage for {image_id}"
        snapshot = self.create_snapshot(block.volume_id, description, from_ami=image_id)  # type: ignore[attr-defined]
        disk = {"DeleteOnTermination": False, "SnapshotId": snapshot.id, "VolumeSize": int(block.size)}
        return {"DeviceName": device, "Ebs": disk | {"VolumeType": "gp3", "Encrypted": False}}

    def deregister_image(self, ami_id: str) -> None:
        """Deregister the image: no machine can be launched from it any more."""
        super().deregister_image(ami_id)  # type: ignore[misc]
        self.world.machines.delete_copy(ami_id)

    def resume_images(self) -> None:
        """Complete the images that a restart of the sandbox interrupted."""
        for image in self.amis.values():  # type: ignore[attr-defined]
            image.complete()
