"""Results of `prices`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional, private
from .facts import RegionFailure, SpotPrice


@dataclass(frozen=True)
class ZonePrice:
    """What an hour of an instance type costs in one zone, and what a box of it there depends on. Null is unknown."""

    region: str
    availability_zone: str
    instance_type: str
    #: Whether EC2 offers the type in this zone. The region's on-demand price and quota are there also if it does not.
    offered: bool
    #: The spot price now, and the lowest and highest one of the period; null where EC2 has none.
    spot_price_per_hour: float | None
    lowest_spot_price: float | None
    highest_spot_price: float | None
    on_demand_price_per_hour: float | None
    #: Null where no region read has the type.
    vcpus: int | None
    gpu: str | None
    #: The quota that the type counts against; null for a type that is not of a GPU family.
    quota_family: str | None
    #: The account's vCPU quotas of that family in the region, whatever runs already.
    spot_quota: float | None
    on_demand_quota: float | None
    #: Whether one box of this type is within the quota.
    fits_spot_quota: bool | None
    fits_on_demand_quota: bool | None
    #: EC2's spot placement score of the zone, 1 to 10: how likely it has one instance of any type of this report.
    placement_score: int | None
    #: The spot prices of the period, oldest first; the first may be from before it.
    history: tuple[SpotPrice, ...] = private(())


@dataclass(frozen=True)
class PriceReport(Result):
    """Prices by zone, cheapest on spot first; last the zones that do not offer the type."""

    prices: tuple[ZonePrice, ...]
    #: The types that were chosen, by option or by the memory of their GPUs.
    instance_types: tuple[str, ...]
    #: The period of lowest and highest price.
    since: datetime
    until: datetime
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    gpu_memory_gb: int | None = optional()
    #: The file with the plot of the history.
    plot: str | None = optional()

    @property
    def available(self) -> tuple[ZonePrice, ...]:
        """Return the prices of the zones that offer their type."""
        return tuple(price for price in self.prices if price.offered)
