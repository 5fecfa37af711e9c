"""EBS snapshots, which hold what their volume held, and volumes that grow: both take time, which moto leaves out.

https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modify-volume.html
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Snapshot, Volume, VolumeModification

from .world import Attachment

if TYPE_CHECKING:
    from .world import World

#: A volume can be modified again after this time.
_MODIFICATION_PAUSE = timedelta(hours=6)


class SandboxSnapshot(Snapshot):
    """moto's snapshot, with the state `pending`, and the size that its volume had."""

    def __init__(self, ec2_backend: Any, *args: Any, **kwargs: Any) -> None:
        self.completed_from = time.monotonic() + ec2_backend.world.timing.snapshotting
        #: The size that its volume had when it grew; 0 while it has not.
        self.size_then = 0
        super().__init__(ec2_backend, *args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a saved snapshot as completed: its monotonic time has no meaning in another process."""
        self.__dict__.update(state, completed_from=0.0)

    @property
    def status(self) -> str:
        """Return the snapshot's state."""
        return "pending" if time.monotonic() < self.completed_from else "completed"

    @status.setter
    def status(self, _: str) -> None:
        """Ignore moto's own state."""

    @property
    def volume_size(self) -> int:
        """Return the size of its volume at that time."""
        return self.size_then or int(self.volume.size)


class SandboxModification(VolumeModification):
    """moto's modification, with the state `modifying` at first."""

    def __init__(self, volume: Volume, *args: Any, **kwargs: Any) -> None:
        super().__init__(volume, *args, **kwargs)
        self.optimizing_from = time.monotonic() + volume.ec2_backend.world.timing.modifying

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a saved modification: its monotonic time has no meaning in another process."""
        self.__dict__.update(state, optimizing_from=0.0)

    @property
    def modification_state(self) -> str:
        """Return its state. EC2 optimizes for hours after the new size can be used."""
        return "modifying" if time.monotonic() < self.optimizing_from else "optimizing"


class Snapshots:
    """The part of the EC2 backend that stores snapshots. Mixed into `SandboxBackend`, whose state it uses."""

    world: World

    def create_snapshot(self, volume_id: str, *args: Any, **kwargs: Any) -> Snapshot:
        """Return a new snapshot, with what the volume holds now."""
        snapshot: Snapshot = super().create_snapshot(volume_id, *args, **kwargs)  # type: ignore[misc]
        self.world.machines.copy_volume(volume_id, snapshot.id)
        return snapshot

    def copy_snapshot(self, source_snapshot_id: str, *args: Any, **kwargs: Any) -> Snapshot:
        """Return a copy of another region's snapshot."""
        snapshot: Snapshot = super().copy_snapshot(source_snapshot_id, *args, **kwargs)  # type: ignore[misc]
        self.world.machines.copy_volume(source_snapshot_id, snapshot.id)
        return snapshot

    def delete_snapshot(self, snapshot_id: str) -> Snapshot:
        """Delete the snapshot and its contents; return it."""
        snapshot: Snapshot = super().delete_snapshot(snapshot_id)  # type: ignore[misc]
        self.world.machines.delete_volume(snapshot_id)
        return snapshot

    def check_restore(self, snapshot_id: str, size: Any) -> None:
        """Raise EC2's errors for a volume of this size from a snapshot."""
        snapshot = self.describe_snapshots(snapshot_ids=[snapshot_id])[0]  # type: ignore[attr-defined]
        if snapshot.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
        if size is not None and int(size) < snapshot.volume_size:
            message = f"Volume of {size}GiB is smaller than snapshot '{snapshot_id}', expect size>= "
            raise EC2ClientError("InvalidParameterValue", f"{message}{snapshot.volume_size}GiB")

    def modify_volume(self, volume_id: str, target_size: Any = None, *args: Any) -> Volume:
        """Modify the volume; return it. It cannot shrink, nor be modified twice within six hours."""
        volume = self.get_volume(volume_id)  # type: ignore[attr-defined]
        if target_size is not None and int(target_size) < int(volume.size):
            raise EC2ClientError("InvalidParameterValue", "New size cannot be smaller than existing size")
        for earlier in volume.modifications:
            if utcnow() - earlier.start_time < _MODIFICATION_PAUSE:
                raise EC2ClientError(
                    "VolumeModificationRateExceeded",
                    "You've reached the maximum modification rate per volume limit. Wait at least 6 hours between "
                    "modifications per EBS volume.",
                )
        for snapshot in self.snapshots.values():  # type: ignore[attr-defined]
            if snapshot.volume is volume and not snapshot.size_then:
                snapshot.size_then = int(volume.size)
        super().modify_volume(volume_id, None if target_size is None else int(target_size), *args)  # type: ignore[misc]
        self.world.scheduler.after(self.world.timing.modifying, lambda: self._show_size(volume))
        return volume

    def describe_volumes_modifications(
        self, volume_ids: list[str] | None = None, filters: Any = None
    ) -> list[VolumeModification]:
        """Return the modifications. As EC2, refuse an id of a volume that was never modified."""
        for volume_id in volume_ids or ():
            if not self.get_volume(volume_id).modifications:  # type: ignore[attr-defined]
                message = f"Modification for volume '{volume_id}' does not exist."
                raise EC2ClientError("InvalidVolumeModification.NotFound", message)
        found: list[VolumeModification] = super().describe_volumes_modifications(volume_ids, filters)  # type: ignore[misc]
        return found

    def _show_size(self, volume: Volume) -> None:
        """Show the machine that has the volume its new size."""
        attachment = volume.attachment
        if attachment and attachment.status == "attached":
            device = Attachment(volume.id, attachment.device, int(volume.size))
            self.world.machines.attach(attachment.instance.id, device)
