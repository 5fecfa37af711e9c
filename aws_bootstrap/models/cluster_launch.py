"""Results of `cluster launch`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional, private
from .cost import MonthlyCost
from .facts import Market, RegionFailure, Resource
from .launch import EbsVolume, LaunchReport


@dataclass(frozen=True)
class ClusterNode:
    """A node of a cluster, as a launch left it. Keys are null where it broke before they were known."""

    rank: int
    instance_id: str | None
    public_ip: str | None
    alias: str | None
    private_ip: str | None = None
    #: `completed`, `failed` or `skipped`.
    setup: str | None = None
    setup_failed_step: str | None = optional()
    setup_failed_reason: str | None = optional()
    setup_failed_output: tuple[str, ...] | None = optional()
    cuda_version: str | None = optional()
    ebs_volume: EbsVolume | None = optional()
    #: Whether it was there before this launch.
    existing: bool = False
    #: What its instance costs an hour; null if that is unknown.
    price_per_hour: float | None = None
    #: What its disks and its address cost a month, in all.
    monthly_cost_usd: float | None = None
    #: The launch of this node as that of a box: for the error and the commands.
    report: LaunchReport | None = private()


@dataclass(frozen=True)
class ClusterLaunchReport(Result):
    """A cluster after a launch: the nodes that were there, and those that were added."""

    cluster_id: str
    region: str
    availability_zone: str | None
    placement_group: str | None
    nodes_added: int
    node_count: int
    nodes: tuple[ClusterNode, ...]
    instance_type: str
    pricing: Market
    ami_id: str
    regions_tried: tuple[str, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: What an hour of all nodes costs; null if one price is unknown.
    price_per_hour: float | None = None
    #: What the disks and addresses of all nodes cost a month.
    monthly_cost_usd: float | None = None
    monthly_costs: tuple[MonthlyCost, ...] = ()
    #: When the first node ends by itself, and after how many seconds without work; null where nothing ends it.
    deadline: datetime | None = None
    idle_timeout_seconds: int | None = None
    #: How many nodes were requested.
    requested: int = private(0)
    #: What else this launch created, and does not bill.
    other_resources: tuple[Resource, ...] = private(())
    user: str = private("ubuntu")
    seconds: float = private(0.0)
    seconds_left: float | None = private()

    def resources(self) -> tuple[Resource, ...]:
        """Return the instances and data volumes that the launch created, then what does not bill."""
        found: list[Resource] = []
        for node in self.nodes:
            if node.report and not node.existing:
                found += node.report.resources()
        billing = [resource for resource in found if resource.billing]
        return (*billing, *self.other_resources)


@dataclass(frozen=True)
class ClusterDryRun(Result):
    """What a launch of a cluster would do. Prices are those of all nodes that it would add."""

    cluster_id: str
    node_count: int
    nodes_added: int
    #: The ranks of the nodes that would be added.
    ranks: tuple[int, ...]
    min_nodes: int
    placement_group: str | None
    instance_type: str
    ami_id: str
    ami_name: str
    pricing: Market
    key_name: str
    security_group: str | None
    volume_size_gb: int
    regions: tuple[str, ...]
    wait: bool
    wait_timeout_seconds: int
    steps: tuple[str, ...]
    #: Of one node, in the market planned; on spot in the cheapest zone.
    node_price_per_hour: float | None = None
    price_per_hour: float | None = None
    spot_price_per_hour: float | None = None
    on_demand_price_per_hour: float | None = None
    monthly_cost_usd: float | None = None
    monthly_costs: tuple[MonthlyCost, ...] = ()
    availability_zone: str | None = optional()
    ebs_storage: int | None = optional()
    ttl_seconds: int | None = optional()
    idle_timeout_seconds: int | None = optional()
    max_cost: float | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    dry_run: bool = True
