"""Images as DescribeImages shows them: with their root device, which launchers copy into their request.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models import amis

from . import catalog


class SandboxImage(amis.Ami):
    """moto's image, with the root device of a real one."""

    root_gb: int = 8

    def __init__(self, ec2_backend: Any, *args: Any, **facts: Any) -> None:
        """Create the image; of an instance, with a snapshot of its root volume. moto's are in us-east-1a."""
        facts.setdefault("region_name", f"{ec2_backend.region_name}a")
        super().__init__(ec2_backend, *args, **facts)
        instance = facts.get("instance")
        if instance:
            root = instance.block_device_mapping[instance.root_device_name]
            self.root_device_name = instance.root_device_name
            self.root_gb = int(root.size)
            self.ebs_snapshot.volume.size = self.root_gb

    @classmethod
    def of(cls, image: catalog.Image, backend: Any) -> SandboxImage:
        """Return the image in the backend's region."""
        facts = image.moto(backend.region_name)
        facts["creation_date"] = amis.parse_timestamp(facts["creation_date"])
        ami = cls(backend, region_name=f"{backend.region_name}a", **facts)
        ami.root_gb = image.root_gb
        return ami

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Return the mapping of the root device."""
        root = {
            "DeleteOnTermination": True,
            "Encrypted": False,
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.root_gb,
            "VolumeType": "gp3",
        }
        return [{"DeviceName": self.root_device_name, "Ebs": root}]
