"""Results of `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..gpu import GpuInfo
from ..idleness import Idleness
from .base import Notice, Result, optional, private
from .cost import MonthlyCost
from .facts import InstanceState, Market, RegionFailure, VolumeState


@dataclass(frozen=True)
class VolumeStatus:
    """A data volume as `status` shows it below its instance."""

    volume_id: str
    size_gb: int
    mount_point: str
    state: VolumeState
    #: Whether `cleanup --include-ebs` deletes it once its box has ended: not what the user attached or keeps.
    goes_with_cleanup: bool = private(True)


@dataclass(frozen=True)
class InstanceStatus:
    """An instance as `status` shows it."""

    instance_id: str
    region: str
    state: InstanceState
    instance_type: str
    public_ip: str | None
    ssh_alias: str | None
    lifecycle: Market
    availability_zone: str
    launch_time: datetime | None
    uptime_seconds: int | None
    ebs_volumes: tuple[VolumeStatus, ...]
    spot_price_per_hour: float | None = optional()
    estimated_cost: float | None = optional()
    #: What an hour of the instance costs now: nothing while it is stopped, null if that is unknown.
    price_per_hour: float | None = None
    #: What its disks and its address cost a month, in all; null if one of them is unknown.
    monthly_cost_usd: float | None = None
    monthly_costs: tuple[MonthlyCost, ...] = ()
    gpu: GpuInfo | None = optional()
    #: The principal that launched it; null for a box from before the tag `aws-bootstrap-owner`.
    owner: str | None = None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None = None
    #: When it ends by itself, by its tags; null where no deadline is set.
    deadline: datetime | None = None
    #: After how many seconds without work it ends by itself; null where no limit is set.
    idle_timeout_seconds: int | None = None
    #: The id of its cluster and its rank there; left out for a box of its own.
    cluster: str | None = optional()
    rank: int | None = optional()
    #: With --gpu: since when the box has no work, as its guardian sees it. Left out where that was not read.
    idleness: Idleness | None = optional()
    user: str = private("ubuntu")
    #: From now until its deadline.
    seconds_left: float | None = private()


#: Why a box has ended. `deadline`, `idle` and `cost-cap` are the limits at which it ended itself, `run` is a command
#: that was to end it (`run --then terminate`).
EndReason = Literal["spot-interruption", "deadline", "idle", "cost-cap", "run", "user", "unknown"]
#: Where the reason is from: EC2's state reason, the status of the spot request, or the serial console.
EndSource = Literal["state-reason", "spot-request", "console"]


@dataclass(frozen=True)
class EndedBox:
    """A box that is terminated, for as long as EC2 reports it."""

    instance_id: str
    ssh_alias: str | None
    region: str
    reason: EndReason
    #: Null where the reason is unknown.
    source: EndSource | None
    #: When it began to end; null if EC2 does not say.
    ended_at: datetime | None = None
    #: The principal that launched it; null for a box from before the tag `aws-bootstrap-owner`.
    owner: str | None = None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None = None
    #: The id of its cluster and its rank there; left out for a box of its own.
    cluster: str | None = optional()
    rank: int | None = optional()
    #: Whether the options of its launch are kept, which `relaunch` needs.
    has_settings: bool = private(False)


@dataclass(frozen=True)
class OrphanVolume:
    """A data volume that bills though its instance no longer exists. Its cost is a list price; null if unknown."""

    volume_id: str
    region: str
    size_gb: int
    monthly_cost_usd: float | None
    last_instance_id: str | None
    kept: bool | None = optional()
    #: The principal that created it; null for a volume from before the tag `aws-bootstrap-owner`, or a brought one.
    owner: str | None = None
    #: Whether that is the caller; null for a brought volume, or where it could not be read who calls.
    yours: bool | None = None
    #: Whether `cleanup` may delete it. A brought volume is its owner's.
    created_by_us: bool = private(True)


@dataclass(frozen=True)
class StatusReport(Result):
    """The instances and data volumes of the regions queried."""

    instances: tuple[InstanceStatus, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    orphan_volumes: tuple[OrphanVolume, ...]
    #: What all boxes cost an hour now; null if the price of one is unknown.
    price_per_hour: float | None = None
    #: What all disks and addresses cost a month, orphan volumes included; null if one of them is unknown.
    monthly_cost_usd: float | None = None
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
    #: The boxes that are terminated, in the order of their end.
    ended: tuple[EndedBox, ...] = ()
    instructions: bool = private(True)
    #: Whether text shows everything of each box; else a line.
    in_full: bool = private(True)

    @property
    def has_no_answer(self) -> bool:
        """Whether no region could be read."""
        unread = len(self.regions_failed) + len(self.regions_denied)
        return bool(self.regions_failed) and unread == len(self.regions_queried)

    @property
    def unread_gpus(self) -> tuple[Notice, ...]:
        """The warnings of boxes whose GPU was requested and is unknown."""
        return tuple(warning for warning in self.warnings if warning.code in ("gpu-unknown", "no-alias"))
