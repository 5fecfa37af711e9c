"""Results of `terminate`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, optional, private
from .facts import Instance, InstanceState, RegionFailure, Volume
from .left_out import LeftOutBox


@dataclass(frozen=True)
class TerminationTarget:
    """A box to terminate, and the data volumes to delete with it."""

    instance: Instance
    ssh_alias: str | None
    volumes: tuple[Volume, ...]
    #: Seconds since its launch; None if EC2 reports no launch time.
    uptime_seconds: int | None = None
    #: What an hour costs now, and what it has cost so far; None if that is unknown.
    price_per_hour: float | None = None
    estimated_cost: float | None = None


@dataclass(frozen=True)
class KeptVolume:
    """A data volume that a termination kept, and what it costs a month; null if that is unknown."""

    volume_id: str
    size_gb: int
    region: str
    monthly_cost_usd: float | None


@dataclass(frozen=True)
class Termination:
    """What became of one instance and of its data volumes."""

    instance_id: str
    previous_state: InstanceState
    current_state: InstanceState
    ssh_alias_removed: str | None = optional()
    ebs_volumes_deleted: tuple[str, ...] | None = optional()
    ebs_volumes_kept: tuple[str, ...] | None = optional()
    region: str = ""
    availability_zone: str = private("")
    #: Those of `ebs_volumes_kept`, with size and price. They bill until they are deleted.
    kept_volumes: tuple[KeptVolume, ...] | None = optional()


@dataclass(frozen=True)
class EndedCluster:
    """A cluster whose last node was terminated, and what became of what its nodes shared; null if there was none."""

    cluster_id: str
    region: str
    placement_group_deleted: bool | None
    security_group_deleted: bool | None


@dataclass(frozen=True)
class TerminateReport(Result):
    """What became of the instances named."""

    terminated: tuple[Termination, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The boxes that a command without names did not touch, since they are not the caller's.
    left_out: tuple[LeftOutBox, ...] = ()
    region: str | None = optional()
    #: The clusters that have no node any more.
    clusters: tuple[EndedCluster, ...] | None = optional()
    #: Where no box was found, if none was named.
    declined: bool = private(False)


@dataclass(frozen=True)
class ClusterTermination(Result):
    """What became of a cluster: of its nodes, their volumes and aliases, and of what they shared."""

    cluster_id: str
    region: str
    terminated: tuple[Termination, ...]
    #: Whether they are deleted; null if there was none.
    placement_group_deleted: bool | None = None
    security_group_deleted: bool | None = None
    #: The aliases that were removed, of nodes that had ended before as well.
    aliases_removed: tuple[str, ...] = ()
    #: The nodes of that id that are not the caller's.
    left_out: tuple[LeftOutBox, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
    declined: bool = private(False)
