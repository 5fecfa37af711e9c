"""Results of `cluster status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, private
from .facts import InstanceState, Market, RegionFailure
from .status import EndedBox, VolumeStatus


@dataclass(frozen=True)
class NodeStatus:
    """A node of a cluster, with what it costs."""

    #: Null where somebody edited its tags.
    rank: int | None
    instance_id: str
    state: InstanceState
    instance_type: str
    az: str
    public_ip: str | None
    private_ip: str | None
    ssh_alias: str | None
    region: str
    lifecycle: Market
    launch_time: datetime | None
    uptime_seconds: int | None
    #: What an hour of the instance costs now, and what it has cost so far; null if that is unknown.
    price_per_hour: float | None
    estimated_cost: float | None
    #: What its disks and its address cost a month, in all; null if one of them is unknown.
    monthly_cost_usd: float | None
    ebs_volumes: tuple[VolumeStatus, ...]
    #: When it ends by itself, and after how many seconds without work; null where nothing ends it.
    deadline: datetime | None
    idle_timeout_seconds: int | None
    #: The principal that launched it; null if none is recorded.
    owner: str | None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None
    #: From now until its deadline.
    seconds_left: float | None = private()


@dataclass(frozen=True)
class ClusterStatus(Result):
    """A cluster: its nodes by rank, the ranks that no node has, and what all of them cost."""

    cluster_id: str
    #: Null where its nodes are in several regions, or none is left.
    region: str | None
    nodes: tuple[NodeStatus, ...]
    #: The ranks that its launches had, and no node has that lives.
    missing_ranks: tuple[int, ...]
    #: Its nodes that have ended, for as long as EC2 reports them, in the order of their end.
    ended: tuple[EndedBox, ...]
    #: What an hour of all nodes costs now, and what they have cost so far; null if the price of one is unknown.
    price_per_hour: float | None
    estimated_cost: float | None
    #: What all their disks and addresses cost a month; null if one of them is unknown.
    monthly_cost_usd: float | None
    #: Whether all of it is the caller's; null where it could not be read who calls.
    yours: bool | None
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()

    @property
    def size(self) -> int:
        """How many nodes it has with those that are missing."""
        ranks = [*self.missing_ranks, *(node.rank or 0 for node in self.nodes)]
        return max(ranks, default=-1) + 1


@dataclass(frozen=True)
class ClusterRow:
    """A cluster in a list. Its region is null where its nodes are in several."""

    cluster_id: str
    region: str | None
    node_count: int
    #: What an hour of its nodes costs now; null if the price of one is unknown.
    price_per_hour: float | None
    #: What the disks and addresses of its nodes cost a month; null if one of them is unknown.
    monthly_cost_usd: float | None
    #: The principal that launched it; null if none is recorded.
    owner: str | None
    #: Whether all of it is the caller's; null where it could not be read who calls.
    yours: bool | None


@dataclass(frozen=True)
class ClusterList(Result):
    """The clusters of the regions queried."""

    clusters: tuple[ClusterRow, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
