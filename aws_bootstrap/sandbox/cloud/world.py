"""What the EC2 side depends on: its scheduler, its timings, and the machines of its instances."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Protocol

from ..scheduler import Scheduler
from . import catalog
from .accounts import Account


@dataclass
class Timing:
    """How long state changes take, in seconds. EC2 takes 10 to 60 times longer; the order of events is the same."""

    pending: float = 1.0
    stopping: float = 1.0
    shutting_down: float = 1.0
    status_checks: float = 3.0
    volume_creating: float = 0.3
    attaching: float = 0.3
    detaching: float = 0.5
    image: float = 2.0
    snapshotting: float = 0.5
    #: Until a volume has its new size.
    modifying: float = 0.3
    forget_terminated: float = 3600.0
    #: For how long the vCPUs of an ended instance count against its quota.
    quota_release: float = 0.0
    #: How long the SSH server of a new box takes to answer, after its port is open.
    first_boot: float = 0.0


@dataclass(frozen=True)
class Attachment:
    """An attached volume, for the box side."""

    volume_id: str
    device: str
    size_gb: int


@dataclass(frozen=True)
class Machine:
    """What the box side needs to know of an instance."""

    instance_id: str
    region: str
    zone: str
    instance_type: str
    architecture: str
    image_name: str
    private_ip: str
    vpc_id: str
    #: The addresses of its VPC, as in `172.31.0.0/16`.
    vpc_cidr: str
    public_ip: str | None
    public_key: str
    user_data: bytes
    root_gb: int
    volumes: tuple[Attachment, ...] = field(default=())
    #: How long the SSH server takes to answer at the first boot.
    first_boot: float = 0.0
    #: The image of which its root disk is a copy; empty if that is no image of a machine.
    copied_from: str = ""


class Machines(Protocol):
    """The box side, as the EC2 side calls it. No call may block: the state's lock is held."""

    def address(self) -> str:
        """Return a public address that no other instance has."""

    def private_address(self) -> str | None:
        """Return a private address that no other instance has; None if the instance keeps that of its subnet."""

    def boot(self, machine: Machine) -> None:
        """Start the machine, on its existing disks if it has any."""

    def halt(self, instance_id: str) -> None:
        """End the machine's processes and close its ports; its disks stay."""

    def destroy(self, instance_id: str) -> None:
        """Halt the machine and delete its root disk."""

    def reboot(self, instance_id: str) -> None:
        """Halt the machine and start it again."""

    def copy_disk(self, instance_id: str, image_id: str, *, reboot: bool) -> None:
        """Keep a copy of the machine's root disk as that image, between halt and boot if `reboot`."""

    def delete_copy(self, image_id: str) -> None:
        """Delete the copy behind an image."""

    def attach(self, instance_id: str, volume: Attachment) -> None:
        """Attach the volume to the running machine."""

    def detach(self, instance_id: str, volume_id: str) -> None:
        """Detach the volume from the machine."""

    def delete_volume(self, volume_id: str) -> None:
        """Delete the contents of the volume or snapshot."""

    def copy_volume(self, source_id: str, target_id: str) -> None:
        """Copy the contents of a volume or snapshot to another one."""

    def notify(self, instance_id: str, path: str, notice: str) -> None:
        """Show a notice in the machine's instance metadata."""

    def console(self, instance_id: str) -> str:
        """Return the machine's console output since its first boot. It outlasts the machine."""

    def forget(self, instance_id: str) -> None:
        """Delete the console output of a machine that was destroyed."""


class NoMachines:
    """Instances without machines: for scale tests, which need thousands of them and no SSH."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def address(self) -> str:
        # 198.18.0.0/15 is reserved for benchmarks and never routed (RFC 2544).
        number = next(self._numbers)
        return f"198.{18 + (number >> 16) % 2}.{number >> 8 & 255}.{number & 255}"

    def private_address(self) -> str | None:
        return None

    def boot(self, machine: Machine) -> None: ...

    def halt(self, instance_id: str) -> None: ...

    def destroy(self, instance_id: str) -> None: ...

    def reboot(self, instance_id: str) -> None: ...

    def copy_disk(self, instance_id: str, image_id: str, *, reboot: bool) -> None: ...

    def delete_copy(self, image_id: str) -> None: ...

    def attach(self, instance_id: str, volume: Attachment) -> None: ...

    def detach(self, instance_id: str, volume_id: str) -> None: ...

    def delete_volume(self, volume_id: str) -> None: ...

    def copy_volume(self, source_id: str, target_id: str) -> None: ...

    def notify(self, instance_id: str, path: str, notice: str) -> None: ...

    def console(self, instance_id: str) -> str:
        return ""

    def forget(self, instance_id: str) -> None: ...


@dataclass
class World:
    """Everything outside moto that the EC2 side uses."""

    scheduler: Scheduler
    machines: Machines
    timing: Timing
    #: The account's enabled regions, which DescribeRegions returns.
    regions: tuple[str, ...] = catalog.REGIONS
    account: Account = Account()
    #: When the account was chosen.
    account_since: float = 0.0
