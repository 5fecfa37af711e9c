"""Results of `launch` and `setup`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional, private
from .cost import MonthlyCost, TypePrice
from .facts import Market, RegionFailure, Resource


@dataclass(frozen=True)
class EbsVolume:
    """The data volume of a box."""

    volume_id: str
    mount_point: str
    size_gb: int
    mounted: bool


@dataclass(frozen=True)
class OnDemandOffer:
    """On-demand in place of spot, with what its disks and its address cost a month."""

    #: The instance types and regions that will be attempted, in this order, with their prices; at least one.
    prices: tuple[TypePrice, ...]
    monthly_costs: tuple[MonthlyCost, ...]
    #: How many boxes are launched. The prices are those of one.
    count: int = 1


@dataclass(frozen=True)
class DryRun(Result):
    """What a launch would do."""

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
    #: The price an hour of the first attempt in the market planned; on spot in the cheapest zone. Null if unknown.
    price_per_hour: float | None = None
    spot_price_per_hour: float | None = None
    on_demand_price_per_hour: float | None = None
    #: What disks and address will cost a month, in all.
    monthly_cost_usd: float | None = None
    monthly_costs: tuple[MonthlyCost, ...] = ()
    #: The prices of every instance type and region in the order of the attempts, where there are several.
    prices: tuple[TypePrice, ...] | None = optional()
    ssh_port: int | None = optional()
    ssh_cidr: tuple[str, ...] | None = optional()
    subnet_id: str | None = optional()
    python_version: str | None = optional()
    setup_script: str | None = optional()
    tags: dict[str, str] | None = optional()
    metadata_hop_limit: int | None = optional()
    no_setup: bool | None = optional()
    max_price: float | None = optional()
    ebs_storage: int | None = optional()
    ebs_volume_id: str | None = optional()
    availability_zone: str | None = optional()
    instance_types: tuple[str, ...] | None = optional()
    subnet_ids: tuple[str, ...] | None = optional()
    name: str | None = optional()
    #: What `--image` was: `baked`, an image's id or its name.
    image: str | None = optional()
    #: True where the prices determine that order.
    cheapest: bool | None = optional()
    #: After how many seconds the box will end by itself; after how many without work; at what cost in USD.
    ttl_seconds: int | None = optional()
    idle_timeout_seconds: int | None = optional()
    max_cost: float | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    dry_run: bool = True


@dataclass(frozen=True)
class LaunchReport(Result):
    """What a launch created. Keys are null where it failed before they were known."""

    instance_id: str | None
    public_ip: str | None
    instance_type: str
    availability_zone: str | None
    ami_id: str
    pricing: Market
    region: str
    regions_tried: tuple[str, ...]
    ssh_alias: str | None
    setup: str | None
    setup_failed_step: str | None = optional()
    setup_failed_reason: str | None = optional()
    setup_failed_output: tuple[str, ...] | None = optional()
    cuda_version: str | None = optional()
    ebs_volume: EbsVolume | None = optional()
    #: True for a box that had the name already: nothing was created.
    existing: bool | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: What an hour of the instance costs now; null if there is none, or its price is unknown.
    price_per_hour: float | None = None
    #: What its disks and its address cost a month, in all.
    monthly_cost_usd: float | None = None
    monthly_costs: tuple[MonthlyCost, ...] = ()
    #: When the box ends by itself; null where no deadline is set.
    deadline: datetime | None = None
    #: After how many seconds without work it ends by itself; null where no limit is set.
    idle_timeout_seconds: int | None = None
    #: Whether this launch created the data volume; the user's own is not among what exists because of it.
    volume_created: bool = private(False)
    #: What else this launch created, and does not bill: key pair, security group.
    other_resources: tuple[Resource, ...] = private(())
    volume_error: str | None = private()
    volume_hint: str | None = private()
    volume_unformatted: bool = private(False)
    setup_options: str = private("")
    user: str = private("ubuntu")
    seconds: float = private(0.0)
    #: From now until the deadline.
    seconds_left: float | None = private()

    def resources(self) -> tuple[Resource, ...]:
        """Return the instance, the data volume if the launch created it, then what does not bill."""
        found: list[Resource] = []
        if self.instance_id and not self.existing:
            found.append(Resource("instance", self.instance_id, self.region, billing=True))
        if self.ebs_volume and self.volume_created:
            found.append(Resource("volume", self.ebs_volume.volume_id, self.region, billing=True))
        return (*found, *self.other_resources)


@dataclass(frozen=True)
class SetupReport(Result):
    """How the remote setup of one box went."""

    instance_id: str
    ssh_alias: str | None
    setup: str
    region: str | None = None
    setup_failed_step: str | None = optional()
    setup_failed_reason: str | None = optional()
    setup_failed_output: tuple[str, ...] | None = optional()
    cuda_version: str | None = optional()
    ebs_volume: EbsVolume | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    volume_error: str | None = private()
    volume_hint: str | None = private()
    volume_unformatted: bool = private(False)
    declined: bool = private(False)
    setup_options: str = private("")
