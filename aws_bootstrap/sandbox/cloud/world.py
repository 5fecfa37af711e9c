"""What the EC2 side is given: its clock, its times, and the machines that stand behind its instances."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Protocol

from ..scheduler import Scheduler
from . import catalog


@dataclass
class Timing:
    """How long EC2 takes, in seconds. EC2's own are 10 to 60 times these; the order of events is the same."""

    pending: float = 1.0
    stopping: float = 1.0
    shutting_down: float = 1.0
    status_checks: float = 3.0
    volume_creating: float = 0.3
    attaching: float = 0.3
    detaching: float = 0.5
    forget_terminated: float = 3600.0


@dataclass(frozen=True)
class Attachment:
    """A volume as the machine sees it."""

    volume_id: str
    device: str
    size_gb: int


@dataclass(frozen=True)
class Machine:
    """What a machine must know of the instance that it stands for."""

    instance_id: str
    region: str
    zone: str
    instance_type: str
    architecture: str
    image_name: str
    private_ip: str
    public_ip: str | None
    public_key: str
    user_data: bytes
    root_gb: int
    volumes: tuple[Attachment, ...] = field(default=())


class Machines(Protocol):
    """The box side, as the EC2 side calls it. No call may block: the state's lock is held."""

    def address(self) -> str:
        """A public address that no other instance has."""

    def boot(self, machine: Machine) -> None:
        """Starts the machine (again); its disks are as they were left."""

    def halt(self, instance_id: str) -> None:
        """Ends the machine's processes and closes its ports; its disks stay."""

    def destroy(self, instance_id: str) -> None:
        """Halts the machine and deletes its root disk."""

    def reboot(self, instance_id: str) -> None:
        """Halts the machine and starts it again."""

    def attach(self, instance_id: str, volume: Attachment) -> None:
        """Shows the volume to the running machine."""

    def detach(self, instance_id: str, volume_id: str) -> None:
        """Takes the volume from the machine."""

    def delete_volume(self, volume_id: str) -> None:
        """Forgets the volume's contents."""

    def console(self, instance_id: str) -> str:
        """What the machine has said since its first boot."""


class NoMachines:
    """Instances without machines behind them: for scale tests, which need thousands and no login."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def address(self) -> str:
        # 198.18.0.0/15 is set aside for benchmarks and never routed (RFC 2544).
        number = next(self._numbers)
        return f"198.{18 + (number >> 16) % 2}.{number >> 8 & 255}.{number & 255}"

    def boot(self, machine: Machine) -> None: ...

    def halt(self, instance_id: str) -> None: ...

    def destroy(self, instance_id: str) -> None: ...

    def reboot(self, instance_id: str) -> None: ...

    def attach(self, instance_id: str, volume: Attachment) -> None: ...

    def detach(self, instance_id: str, volume_id: str) -> None: ...

    def delete_volume(self, volume_id: str) -> None: ...

    def console(self, instance_id: str) -> str:
        return ""


@dataclass
class World:
    """Everything outside moto that the EC2 side needs."""

    scheduler: Scheduler
    machines: Machines
    timing: Timing
    regions: tuple[str, ...] = catalog.REGIONS
    """Those that DescribeRegions names: the account's enabled ones."""
