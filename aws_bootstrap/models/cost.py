"""What a box costs: an hour of the instance, and by the month its disks and its public address. Pure.

Every price is a list price or the price of the last minutes, in USD. A price that is None is unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from .base import optional
from .facts import Instance, InstanceState, Market, SpotPrice

#: Storage by the type of a volume, the list prices in most regions: https://aws.amazon.com/ebs/pricing/
#: The other types are missing: io1 and io2 bill mostly by IOPS, and none of them is what this tool creates.
USD_PER_GB_MONTH = {"gp2": 0.10, "gp3": 0.08}
#: A public IPv4 address, in every region: https://aws.amazon.com/vpc/pricing/
IPV4_USD_PER_HOUR = 0.005
#: A snapshot, by its storage tier, the list prices in most regions: https://aws.amazon.com/ebs/pricing/
#: It bills for the blocks that it stores, which EC2 does not report: at most for the size of its volume.
SNAPSHOT_USD_PER_GB_MONTH = {"standard": 0.05, "archive": 0.0125}
#: The hours of a month, as AWS's own calculator counts them: https://calculator.aws/
HOURS_PER_MONTH = 730
#: States in which EC2 bills no hours: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
#: `pending` bills nothing either, but becomes `running` within seconds, so that it has the price of a running one.
UNBILLED_STATES: tuple[InstanceState, ...] = ("stopping", "stopped", "shutting-down", "terminated")

#: Spot prices of one region, by instance type and availability zone.
type ZonePrices = Mapping[tuple[str, str], SpotPrice]


@dataclass(frozen=True)
class MonthlyCost:
    """What bills by the month beside a box's instance. `monthly_cost_usd` is a list price; null if it is unknown."""

    item: str
    monthly_cost_usd: float | None
    size_gb: int | None = optional()


@dataclass(frozen=True)
class TypePrice:
    """What an hour of an instance type costs in one region, on spot in the cheapest zone. Null if it is unknown."""

    region: str
    instance_type: str
    spot_price_per_hour: float | None
    on_demand_price_per_hour: float | None

    def of(self, market: Market) -> float | None:
        """Return the price in this market; None if it is unknown."""
        if market == "spot":
            return self.spot_price_per_hour
        return self.on_demand_price_per_hour


@dataclass(frozen=True)
class Prices:
    """The prices that were read, and why others could not be."""

    #: The spot prices, by region.
    spot: Mapping[str, ZonePrices] = field(default_factory=lambda: MappingProxyType({}))
    #: The on-demand prices, by region and instance type.
    on_demand: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))
    #: Why prices could not be read, by region and market.
    errors: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))

    def spot_price(self, region: str, instance_type: str, zone: str | None = None) -> float | None:
        """Return the spot price in the zone, without one in the region's cheapest zone; None if it is unknown."""
        prices: list[float] = []
        for (priced_type, priced_zone), spot in self.spot.get(region, {}).items():
            if priced_type == instance_type and zone in (None, priced_zone):
                prices.append(spot.price)
        return min(prices, default=None)

    def highest_spot_price(self, region: str, instance_type: str, zone: str | None = None) -> float | None:
        """Return the spot price in the zone, without one in the region's dearest zone; None if it is unknown."""
        prices: list[float] = []
        for (priced_type, priced_zone), spot in self.spot.get(region, {}).items():
            if priced_type == instance_type and zone in (None, priced_zone):
                prices.append(spot.price)
        return max(prices, default=None)

    def of_type(self, region: str, instance_type: str, zone: str | None = None) -> TypePrice:
        """Return the prices of an instance type in a region, or in one zone of it."""
        spot = self.spot_price(region, instance_type, zone)
        return TypePrice(region, instance_type, spot, self.on_demand.get((region, instance_type)))

    def of_instance(self, instance: Instance) -> float | None:
        """Return what an hour of the instance costs now: nothing while it is stopped, None if that is unknown."""
        if instance.state in UNBILLED_STATES:
            return 0.0
        prices = self.of_type(instance.region, instance.instance_type, instance.availability_zone)
        return prices.of(instance.lifecycle)


def gp3_cost(size_gb: int) -> float:
    """Return what a volume costs a month that has the type of those that this tool creates."""
    return round(size_gb * USD_PER_GB_MONTH["gp3"], 2)


def volume_cost(size_gb: int, volume_type: str = "gp3") -> float | None:
    """Return what a volume costs a month; None if that is unknown: its type has no price by size, or it has no size."""
    price = USD_PER_GB_MONTH.get(volume_type)
    if price is None or not size_gb:  # EC2's reply may lack the size
        return None
    return round(size_gb * price, 2)


def snapshot_cost(size_gb: int, tier: str = "standard") -> float | None:
    """Return what a snapshot costs a month at most; None if its tier has no price, or it has no size."""
    price = SNAPSHOT_USD_PER_GB_MONTH.get(tier)
    if price is None or not size_gb:
        return None
    return round(size_gb * price, 2)


def root_volume_cost(size_gb: int | None, volume_type: str = "gp3") -> MonthlyCost:
    """Return the monthly cost of a root volume; unknown without its size."""
    if size_gb is None:
        return MonthlyCost("root volume", None)
    return MonthlyCost("root volume", volume_cost(size_gb, volume_type), size_gb)


def data_volume_cost(size_gb: int, volume_type: str = "gp3") -> MonthlyCost:
    """Return the monthly cost of a data volume."""
    return MonthlyCost("data volume", volume_cost(size_gb, volume_type), size_gb)


def public_address() -> MonthlyCost:
    """Return the monthly cost of a public IPv4 address."""
    return MonthlyCost("public IPv4 address", round(IPV4_USD_PER_HOUR * HOURS_PER_MONTH, 2))


def box_costs(root: MonthlyCost, data_volumes: Iterable[MonthlyCost], *, has_address: bool) -> tuple[MonthlyCost, ...]:
    """Return what bills by the month beside a box's instance."""
    costs = [root, *data_volumes]
    if has_address:
        costs.append(public_address())
    return tuple(costs)


def monthly_total(costs: Iterable[MonthlyCost]) -> float | None:
    """Return the sum of the monthly costs; None if one is unknown."""
    return total([cost.monthly_cost_usd for cost in costs], digits=2)


def total(prices: Iterable[float | None], *, digits: int = 6) -> float | None:
    """Return the sum of the prices; None if one is unknown."""
    added = 0.0
    for price in prices:
        if price is None:
            return None
        added += price
    return round(added, digits)


def a_month_of(price_per_hour: float | None) -> float | None:
    """Return what something costs a month that bills by the hour."""
    if price_per_hour is None:
        return None
    return round(price_per_hour * HOURS_PER_MONTH, 2)


def an_hour_of(monthly_cost: float | None) -> float | None:
    """Return what something costs an hour that bills by the month."""
    if monthly_cost is None:
        return None
    return round(monthly_cost / HOURS_PER_MONTH, 6)


def cost_since(monthly_cost: float | None, since: datetime | None, now: datetime) -> float | None:
    """Return what something that bills by the month has cost since then; None if its cost or its age is unknown."""
    if monthly_cost is None or since is None:
        return None
    hours = max(0.0, (now - since).total_seconds() / 3600)
    return round(monthly_cost / HOURS_PER_MONTH * hours, 4)


def known_part(prices: Iterable[float | None]) -> float:
    """Return the sum of those prices that are known."""
    added = 0.0
    for price in prices:
        added += price or 0.0
    return added


def uptime_seconds(instance: Instance, now: datetime) -> int | None:
    """Return the seconds since the launch, or since the last start; None of an instance that does not run, too.

    EC2 does not report for how long a stopped instance ran. None as well if it reports no launch time.
    """
    if instance.launch_time is None or instance.state in UNBILLED_STATES:
        return None
    uptime = now - instance.launch_time
    return max(0, int(uptime.total_seconds()))


def cost_so_far(price_per_hour: float | None, uptime_seconds: int | None, state: InstanceState) -> float | None:
    """Return what the instance has cost since its launch; None if its price or its running time is unknown.

    A stopped instance ran for less than the time since its launch. EC2 does not report for how long.
    """
    if price_per_hour is None or uptime_seconds is None or state in UNBILLED_STATES:
        return None
    return round(price_per_hour * uptime_seconds / 3600, 4)
