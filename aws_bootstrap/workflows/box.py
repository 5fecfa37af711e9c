"""A box: an instance of this tool, with how ssh reaches it and its data volumes."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ec2
from ..models import Instance, Volume
from ..sshconfig import Host


@dataclass(frozen=True)
class Box:
    """An instance of this tool, how ssh reaches it (None if this machine has no alias for it), and its data volumes."""

    instance: Instance
    host: Host | None = None
    volumes: tuple[Volume, ...] = ()
    #: Its root volume, where that was read; None if it is unknown.
    root: Volume | None = None

    @property
    def instance_id(self) -> str:
        """Return the instance's id."""
        return self.instance.instance_id

    @property
    def region(self) -> str:
        """Return the instance's region."""
        return self.instance.region

    @property
    def alias(self) -> str | None:
        """Return its alias in the SSH config of this machine."""
        if self.host is None:
            return None
        return self.host.alias

    @property
    def has_ended(self) -> bool:
        """Return whether it is terminated, or about to be."""
        return self.instance.state in ec2.ENDED

    @property
    def deletable_volumes(self) -> tuple[Volume, ...]:
        """Return the volumes that go with it: created by this tool, not marked to stay, not in use by another."""
        return tuple(volume for volume in self.volumes if self._goes_with_it(volume))

    def _goes_with_it(self, volume: Volume) -> bool:
        """Return whether the volume may be deleted when the instance ends."""
        if not volume.created_by_us:
            return False
        if volume.kept:
            return False
        if volume.attached_to is None or volume.attached_to == self.instance_id:
            return True
        # If EC2 does not report the instance that it is attached to, the deletion waits until it is free, as always.
        return volume.attached_to == ec2.UNKNOWN

    @property
    def is_reachable(self) -> bool:
        """Return whether it runs and has a public address."""
        return self.instance.state == "running" and self.instance.public_ip is not None
