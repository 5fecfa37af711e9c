"""EBS volumes: states that take time, and the errors that moto lacks.

https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html#volume-state
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment

from .world import Attachment

if TYPE_CHECKING:
    from .world import World

_DEVICE = re.compile(r"(/dev/(sd[a-z]\d*|xvd[a-z]{1,2}\d*|nvme\d+n\d+)|xvd[a-z]{1,2}|sd[a-z]\d*)")
_ATTACHABLE = frozenset({"running", "stopped"})
# GiB at most: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
_LARGEST = {"gp3": 65536, "io2": 65536, "standard": 1024}
_LARGEST_OF_OTHERS = 16384


def with_any_tag_key(describe: Callable[[Any], list[Volume]], filters: Any) -> list[Volume]:
    """Return the volumes that `describe` finds; of several values of the filter `tag-key` one is enough.

    moto finds only what has all of them:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
    """
    keys = (filters or {}).get("tag-key", [])
    if len(keys) < 2:
        return describe(filters)
    found: dict[str, Volume] = {}
    for key in keys:
        for volume in describe({**filters, "tag-key": [key]}):
            found[volume.id] = volume
    return list(found.values())


class SandboxVolume(Volume):
    """moto's volume, with the state `creating`, and `in-use` until it is detached."""

    def __init__(self, ec2_backend: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(ec2_backend, *args, **kwargs)
        self.available_from = time.monotonic() + ec2_backend.world.timing.volume_creating

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a saved volume as created: its monotonic time has no meaning in another process."""
        self.__dict__.update(state, available_from=0.0)

    @property
    def status(self) -> str:
        """Return the volume's state."""
        if self.attachment:
            return "in-use"
        return "creating" if time.monotonic() < self.available_from else "available"


class Volumes:
    """The part of the EC2 backend that stores volumes. Mixed into `SandboxBackend`, whose state it uses."""

    world: World
    launching: bool

    def describe_volumes(self, volume_ids: list[str] | None = None, filters: Any = None) -> list[Volume]:
        """Return the volumes of these ids that pass the filters. Name the first id that there is not, as EC2 does."""
        for volume_id in volume_ids or []:
            self.get_volume(volume_id)  # type: ignore[attr-defined]

        def describe(one: Any) -> list[Volume]:
            found: list[Volume] = moto_describe(volume_ids, one)
            return found

        moto_describe = super().describe_volumes  # type: ignore[misc]
        return with_any_tag_key(describe, filters)

    def create_volume(self, size: Any, zone_name: str, **kwargs: Any) -> Volume:
        """Return a new volume; check zone and size, which moto does not."""
        if self.get_zone_by_name(zone_name) is None:  # type: ignore[attr-defined]
            raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone_name}' does not exist.")
        most = _LARGEST.get(kwargs.get("volume_type") or "gp2", _LARGEST_OF_OTHERS)
        if size is not None and not 1 <= int(size) <= most:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Volume of {size}GiB is invalid; the size must be between 1 and {most} GiB.",
            )
        snapshot_id = kwargs.get("snapshot_id")
        if snapshot_id:
            self.check_restore(snapshot_id, size)  # type: ignore[attr-defined]
        volume: Volume = super().create_volume(size=None if size is None else int(size), zone_name=zone_name, **kwargs)  # type: ignore[misc]
        if snapshot_id:
            self.world.machines.copy_volume(snapshot_id, volume.id)
        return volume

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> VolumeAttachment:
        """Return the attachment, which is `attaching` at first. A launch attaches its volumes without checks."""
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)  # type: ignore[attr-defined]
        if not self.launching:
            self._check_attach(volume, instance, device_path)
        attachment = super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)  # type: ignore[misc]
        if not self.launching:
            attachment.status = "attaching"
            self.world.scheduler.after(self.world.timing.attaching, lambda: self._attached(attachment))
        return attachment

    def _check_attach(self, volume: Volume, instance: Any, device: str) -> None:
        """Raise the errors of AttachVolume.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html
        """
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
        if volume.status != "available":
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
        if instance.state not in _ATTACHABLE:
            raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
        if volume.availability_zone != instance.availability_zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
            )
        if not device or not _DEVICE.fullmatch(device):
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name.",
            )
        if device in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
            )

    def _attached(self, attachment: VolumeAttachment) -> None:
        """Change from `attaching` to `attached`: the machine has the device now."""
        if attachment.volume.attachment is attachment and attachment.status == "attaching":
            attachment.status = "attached"
            device = Attachment(attachment.volume.id, attachment.device, int(attachment.volume.size))
            self.world.machines.attach(attachment.instance.id, device)

    def detach_volume(self, volume_id: str, instance_id: str | None, device_path: str | None) -> VolumeAttachment:
        """Return the attachment, which is `detaching`; the volume is in use until it is detached."""
        volume = self.get_volume(volume_id)  # type: ignore[attr-defined]
        attachment = volume.attachment
        if attachment is None or (instance_id and attachment.instance.id != instance_id):
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the '{volume.status}' state.")
        if attachment.instance.state in ("shutting-down", "terminated"):
            # EC2's own detach at the termination of an instance
            return super().detach_volume(volume_id, attachment.instance.id, device_path or attachment.device)  # type: ignore[misc]
        if attachment.device == attachment.instance.root_device_name and attachment.instance.state != "stopped":
            raise EC2ClientError(
                "OperationNotPermitted",
                f"Unable to detach root volume '{volume_id}' from instance '{attachment.instance.id}'",
            )
        attachment.status = "detaching"
        self.world.machines.detach(attachment.instance.id, volume_id)
        self.world.scheduler.after(self.world.timing.detaching, lambda: self._detached(attachment))
        return attachment

    def _detached(self, attachment: VolumeAttachment) -> None:
        """Change from `detaching` to `available`."""
        if attachment.volume.attachment is attachment:
            super().detach_volume(attachment.volume.id, attachment.instance.id, attachment.device)  # type: ignore[misc]

    def delete_volume(self, volume_id: str) -> Volume:
        """Delete the volume and its contents; return it."""
        volume = super().delete_volume(volume_id)  # type: ignore[misc]
        self.world.machines.delete_volume(volume_id)
        return volume

    def resume_volumes(self) -> None:
        """Complete the attachments and detachments that a restart of the sandbox interrupted."""
        for volume in list(self.volumes.values()):  # type: ignore[attr-defined]
            attachment = volume.attachment
            if attachment and attachment.status == "detaching":
                self._detached(attachment)
            elif attachment and attachment.status == "attaching":
                attachment.status = "attached"
