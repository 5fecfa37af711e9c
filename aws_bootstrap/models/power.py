"""Results of `stop` and `start`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, private
from .cost import MonthlyCost
from .facts import InstanceState, Market, RegionFailure, Resource


@dataclass(frozen=True)
class StoppedBox:
    """A box that was stopped, and what of it goes on billing."""

    instance_id: str
    ssh_alias: str | None
    region: str
    previous_state: InstanceState
    #: `stopping` where the command ended before it was stopped.
    current_state: InstanceState
    #: What its disks cost a month; null if the cost of one is unknown.
    monthly_cost_usd: float | None
    monthly_costs: tuple[MonthlyCost, ...]
    #: After this `start` needs --ttl or --never; null where no deadline is set.
    deadline: datetime | None = None


@dataclass(frozen=True)
class StopReport(Result):
    """What became of the boxes to stop. One that could not be stopped is in the error alone."""

    stopped: tuple[StoppedBox, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    declined: bool = private(False)


@dataclass(frozen=True)
class StartedBox:
    """A box that was started. One that ran already has the previous state `running`."""

    instance_id: str
    ssh_alias: str | None
    region: str
    availability_zone: str
    previous_state: InstanceState
    current_state: InstanceState
    instance_type: str
    #: A new one: EC2 keeps no public address of a stopped instance.
    public_ip: str | None
    #: What an hour of the instance costs; null if that is unknown.
    price_per_hour: float | None
    #: What its disks and its address cost a month; null if one of them is unknown.
    monthly_cost_usd: float | None
    monthly_costs: tuple[MonthlyCost, ...]
    #: When it ends by itself; null where no deadline is set.
    deadline: datetime | None = None
    #: After how many seconds without work it ends by itself; null where no limit is set.
    idle_timeout_seconds: int | None = None
    lifecycle: Market = private("on-demand")
    user: str = private("ubuntu")
    #: From now until its deadline.
    seconds_left: float | None = private()
    #: Why the tags of the instance still have the limits from before, and the command that writes them.
    tag_error: str | None = private()
    tag_command: str | None = private()


@dataclass(frozen=True)
class StartReport(Result):
    """What became of the boxes to start. One that could not be started is in the error alone."""

    started: tuple[StartedBox, ...]
    regions_failed: tuple[RegionFailure, ...] = ()

    def resources(self) -> tuple[Resource, ...]:
        """Return the boxes, which bill by the hour now."""
        return tuple(Resource("instance", box.instance_id, box.region, billing=True) for box in self.started)
