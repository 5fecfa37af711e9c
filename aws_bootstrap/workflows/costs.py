"""Read what boxes cost. A price that cannot be read fails no command: it is unknown, and a warning says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, output
from ..aws import PRICING_REGION, without_waiting
from ..errors import BootstrapError
from ..models import Instance, MonthlyCost, Prices, TypePrice, Volume
from ..models.cost import UNBILLED_STATES, ZonePrices, box_costs, data_volume_cost, root_volume_cost, volume_cost
from ..models.facts import MARKETS
from ..parallel import run_parallel
from .box import Box

if TYPE_CHECKING:
    from ..app import App

#: A region and an instance type.
type Pair = tuple[str, str]

#: Why a price is unknown. A volume has a size; a reply may lack it.
_NO_SIZE = "EC2 reported no size"


def read_prices(app: App, *, spot: Iterable[Pair] = (), on_demand: Iterable[Pair] = ()) -> Prices:
    """Return the prices of these instance types, read in parallel: spot by a call a region, on-demand one by one."""
    calls: list[Callable[[], Prices]] = []
    for region, instance_types in _by_region(spot).items():
        calls.append(partial(_read_spot, app, region, instance_types))
    for region, instance_type in dict.fromkeys(on_demand):
        calls.append(partial(_read_on_demand, app, region, instance_type))
    return _merged(run_parallel(calls))


def read_family_prices(app: App, pairs: Iterable[Pair]) -> Prices:
    """Return the prices of many instance types: spot by a call a region, on-demand by a call a region and family."""
    types_by_region = _by_region(pairs)
    calls: list[Callable[[], Prices]] = []
    for region, instance_types in types_by_region.items():
        calls.append(partial(_read_spot, app, region, instance_types))
        calls += _of_families(app, region, instance_types)
    return _merged(run_parallel(calls))


def read_on_demand_prices(app: App, pairs: Iterable[Pair]) -> Prices:
    """Return the on-demand prices of many instance types, by a call a region and family."""
    calls: list[Callable[[], Prices]] = []
    for region, instance_types in _by_region(pairs).items():
        calls += _of_families(app, region, instance_types)
    return _merged(run_parallel(calls))


def _of_families(app: App, region: str, instance_types: Iterable[str]) -> list[Callable[[], Prices]]:
    """Return a call for the on-demand prices of each family of these types."""
    families = dict.fromkeys(instance_type.partition(".")[0] for instance_type in instance_types)
    return [partial(_read_on_demand_family, app, region, family) for family in families]


def read_instance_prices(app: App, instances: Iterable[Instance]) -> Prices:
    """Return what these instances cost now. Warn of prices that cannot be read."""
    spot: list[Pair] = []
    on_demand: list[Pair] = []
    for instance in instances:
        pair = (instance.region, instance.instance_type)
        if instance.state in UNBILLED_STATES or instance.instance_type == ec2.UNKNOWN:
            continue
        if instance.lifecycle == "spot":
            spot.append(pair)
        else:
            on_demand.append(pair)
    prices = read_prices(app, spot=spot, on_demand=on_demand)
    warn_of_errors(prices)
    return prices


def monthly_costs(box: Box) -> tuple[MonthlyCost, ...]:
    """Return what bills by the month beside the box's instance."""
    root = root_volume_cost(None)
    if box.root:
        root = root_volume_cost(box.root.size_gb, box.root.volume_type)
    data_volumes = [data_volume_cost(volume.size_gb, volume.volume_type) for volume in box.volumes]
    return box_costs(root, data_volumes, has_address=box.instance.public_ip is not None)


def unknown_monthly_costs(name: str, monthly_costs: Iterable[MonthlyCost]) -> list[str]:
    """Return a sentence on each of a box's monthly costs that is unknown."""
    sentences: list[str] = []
    for cost in monthly_costs:
        if cost.monthly_cost_usd is not None:
            continue
        if cost.size_gb is None:
            sentences.append(f"The {cost.item} of {name} was not found, so what it costs a month is unknown.")
        elif cost.size_gb == 0:
            sentences.append(f"What the {cost.item} of {name} costs a month is unknown: {_NO_SIZE}.")
        else:
            what = f"What the {cost.item} ({cost.size_gb} GB) of {name} costs a month is unknown"
            sentences.append(f"{what}: its type has no list price by size.")
    return sentences


def monthly_cost(volume: Volume) -> float | None:
    """Return what a volume costs a month. Warn if that is unknown."""
    warn_if_cost_unknown(volume)
    return volume_cost(volume.size_gb, volume.volume_type)


def warn_if_cost_unknown(volume: Volume) -> None:
    """Warn if it is unknown what a volume costs a month."""
    if volume_cost(volume.size_gb, volume.volume_type) is not None:
        return
    reason = f"no list price of {volume.volume_type} is known by size"
    if volume.size_gb == 0:
        reason = _NO_SIZE
    message = f"What {volume.volume_id} costs a month is unknown: {reason}."
    output.warn(message, code="price-unknown", region=volume.region)


def warn_of_errors(prices: Prices) -> None:
    """Warn of the prices that could not be read."""
    for (region, market), reason in prices.errors.items():
        output.warn(f"Could not read the {market} prices in {region}: {reason}", code="price-unknown", region=region)


def warn_of_unknown(type_prices: Iterable[TypePrice], prices: Prices) -> None:
    """Warn of each price of these instance types that is unknown, with the reason if it could not be read."""
    for of_type in type_prices:
        for market in MARKETS:
            if of_type.of(market) is None:
                message = f"The {market} price of {of_type.instance_type} in {of_type.region} is unknown."
                reason = prices.errors.get((of_type.region, market))
                if reason:
                    message = f"{message[:-1]}: {reason}"
                output.warn(message, code="price-unknown", region=of_type.region)


def _by_region(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """Return the instance types of each region, each once."""
    by_region: dict[str, list[str]] = {}
    for region, instance_type in dict.fromkeys(pairs):
        by_region.setdefault(region, []).append(instance_type)
    return by_region


def _read_spot(app: App, region: str, instance_types: list[str]) -> Prices:
    def read(_: str) -> ZonePrices:
        return ec2.spot_prices(app.aws.ec2(region), instance_types)

    try:
        return Prices(spot={region: without_waiting(region, read)})
    except BootstrapError as exc:
        return Prices(errors={(region, "spot"): str(exc)})


def _read_on_demand(app: App, region: str, instance_type: str) -> Prices:
    def read(_: str) -> float | None:
        return ec2.on_demand_price(app.aws.pricing(), region, instance_type)

    try:
        price = without_waiting(PRICING_REGION, read)
    except BootstrapError as exc:
        return Prices(errors={(region, "on-demand"): str(exc)})
    if price is None:
        return Prices()
    return Prices(on_demand={(region, instance_type): price})


def _read_on_demand_family(app: App, region: str, family: str) -> Prices:
    def read(_: str) -> dict[str, float]:
        return ec2.on_demand_prices(app.aws.pricing(), region, family)

    try:
        by_type = without_waiting(PRICING_REGION, read)
    except BootstrapError as exc:
        return Prices(errors={(region, "on-demand"): str(exc)})
    on_demand: dict[Pair, float] = {}
    for instance_type, price in by_type.items():
        on_demand[region, instance_type] = price
    return Prices(on_demand=on_demand)


def _merged(parts: Iterable[Prices]) -> Prices:
    """Return all of these prices as one."""
    spot: dict[str, ZonePrices] = {}
    on_demand: dict[Pair, float] = {}
    errors: dict[Pair, str] = {}
    for part in parts:
        spot |= part.spot
        on_demand |= part.on_demand
        errors |= part.errors
    return Prices(spot, on_demand, errors)
