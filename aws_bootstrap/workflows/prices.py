"""Show what instance types cost by zone, and whether the account may launch them there.

Everything is read at the same time: of each region its types, zones, spot prices and quotas, and once for all regions
the placement scores. Only --gpu-memory reads the types first, since it chooses by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from .. import defaults, ec2, output
from ..aws import each_region, without_waiting
from ..errors import BootstrapError
from ..models import InstanceType, PriceReport, Prices, RegionFailure, SpotPrice, ZonePrice
from ..parallel import gather, map_parallel
from ..quota import QuotaKey
from . import costs, price_plot, quota
from .instance_types import no_such_type

if TYPE_CHECKING:
    from pathlib import Path

    from types_boto3_ec2 import EC2Client

    from ..app import App

PERIOD = timedelta(days=7)

#: The spot prices of a region, by instance type and zone, oldest first.
type History = Mapping[tuple[str, str], tuple[SpotPrice, ...]]


@dataclass(frozen=True)
class PriceOptions:
    """The options of `prices`."""

    instance_types: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    gpu_memory_gb: int | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Choice:
    """The instance types to show in each region, and the regions whose types could not be read."""

    names: Mapping[str, tuple[str, ...]]
    failed: tuple[RegionFailure, ...] = ()
    #: The facts of the types of each region, where they have been read already.
    types: Mapping[str, list[InstanceType]] = field(default_factory=dict)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Return the types of all regions, each once."""
        found: dict[str, None] = {}
        for names in self.names.values():
            found.update(dict.fromkeys(names))
        return tuple(found)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return each region with each of its types."""
        pairs: list[tuple[str, str]] = []
        for region, names in self.names.items():
            for name in names:
                pairs.append((region, name))
        return pairs


@dataclass(frozen=True)
class RegionFacts:
    """What a region offers."""

    types: Mapping[str, InstanceType]
    #: The id of each zone, by its name.
    zones: Mapping[str, str]
    #: Pairs of type and zone.
    offerings: frozenset[tuple[str, str]]

    def offers(self, name: str) -> bool:
        """Return whether a zone of the region offers this type."""
        return any((name, zone) in self.offerings for zone in self.zones)


@dataclass(frozen=True)
class Market:
    """Prices, quotas and scores, by region. What could not be read is missing, and a warning has said so."""

    histories: Mapping[str, History]
    on_demand: Prices
    quotas: Mapping[str, Mapping[QuotaKey, float]]
    #: By the zone's id.
    scores: Mapping[str, int]


def report(app: App, options: PriceOptions) -> PriceReport:
    """Return the prices of the chosen types in each zone, and write the plot of their history.

    BootstrapError if no region offers a type that is named, or if no region could be read.
    """
    if options.plot:
        price_plot.check_installed()
    until = datetime.now(UTC).replace(microsecond=0)
    since = until - PERIOD
    regions = tuple(dict.fromkeys(options.regions or (app.aws.region,)))
    choice = _choose(app, options, regions)
    (found, failed), market = gather(partial(_read_regions, app, choice), partial(_read_market, app, choice, since))
    if options.gpu_memory_gb is None:
        _check_offered(choice.all_names, found)
    facts_by_name: dict[str, InstanceType] = {}
    for facts in found.values():
        facts_by_name.update(facts.types)
    rows: list[ZonePrice] = []
    for region, facts in found.items():
        for name in choice.names[region]:
            for zone in facts.zones:
                rows.append(_row(region, zone, facts, facts_by_name.get(name) or _unknown(name), market))
    rows.sort(key=_by_price)
    result = PriceReport(
        prices=tuple(rows),
        instance_types=choice.all_names,
        since=since,
        until=until,
        regions_queried=regions,
        regions_failed=choice.failed + failed,
        gpu_memory_gb=options.gpu_memory_gb,
    )
    if options.plot:
        return price_plot.write(options.plot, result)
    return result


# --- which types -----------------------------------------------------------------------------------------


def _choose(app: App, options: PriceOptions, regions: Sequence[str]) -> Choice:
    """Return the types that are named, else the default type; with a memory those whose GPUs have that much."""
    minimum = options.gpu_memory_gb
    if minimum is None:
        names = tuple(dict.fromkeys(options.instance_types or defaults.INSTANCE_TYPES))
        return Choice(dict.fromkeys(regions, names))

    def read(region: str) -> list[InstanceType]:
        patterns = options.instance_types or ec2.GPU_PATTERNS
        found = ec2.find_instance_types(app.aws.ec2(region), patterns)
        return [one for one in found if one.gpu_memory_gb >= minimum]

    types, failed = each_region(regions, read)
    chosen: dict[str, tuple[str, ...]] = {}
    for region, in_region in types.items():
        chosen[region] = tuple(sorted(one.name for one in in_region))
    return Choice(chosen, failed, types)


def _check_offered(names: Iterable[str], found: Mapping[str, RegionFacts]) -> None:
    """Raise BootstrapError for a type that no region has: it is probably misspelled. Warn of each region without it."""
    for name in names:
        if not any(name in facts.types for facts in found.values()):
            raise no_such_type([name], list(found))
        for region, facts in found.items():
            if facts.offers(name):
                continue
            output.warn(f"The region {region} does not offer {name}.", code="bad-instance-type", region=region)


def _unknown(name: str) -> InstanceType:
    """Return a type of which only the name is known."""
    return InstanceType(name, 0, 0, ())


# --- reading ---------------------------------------------------------------------------------------------


def _read_regions(app: App, choice: Choice) -> tuple[dict[str, RegionFacts], tuple[RegionFailure, ...]]:
    """Return what each region offers, and the regions that could not be read."""

    def read(region: str) -> RegionFacts:
        client = app.aws.ec2(region)
        names = choice.names[region]
        if not names:
            return RegionFacts({}, {}, frozenset())
        types, zones, offerings = gather(
            partial(_types, client, names, choice.types.get(region)),
            partial(ec2.find_zones, client),
            partial(ec2.find_offerings, client, names),
        )
        return RegionFacts({one.name: one for one in types}, zones, offerings)

    return each_region(choice.names, read)


def _types(client: EC2Client, names: Sequence[str], known: list[InstanceType] | None) -> list[InstanceType]:
    """Return the facts of the types, read now unless they are known."""
    if known is not None:
        return known
    return ec2.find_instance_types(client, names)


def _read_market(app: App, choice: Choice, since: datetime) -> Market:
    """Return prices, quotas and scores. Warn of those that cannot be read."""
    histories, on_demand, quotas, scores = gather(
        partial(map_parallel, partial(_read_history, app, choice, since), choice.names),
        partial(costs.read_on_demand_prices, app, choice.pairs),
        partial(map_parallel, partial(_read_quotas, app, choice), choice.names),
        partial(_read_scores, app, choice),
    )
    known_histories: dict[str, History] = {}
    known_quotas: dict[str, Mapping[QuotaKey, float]] = {}
    spot_errors: dict[tuple[str, str], str] = {}
    for region, history, of_region in zip(choice.names, histories, quotas, strict=True):
        if isinstance(history, BootstrapError):
            spot_errors[region, "spot"] = str(history)
        else:
            known_histories[region] = history
        if isinstance(of_region, BootstrapError):
            output.warn(f"Could not read the quotas in {region}: {of_region}", code="quota-unknown", region=region)
        else:
            known_quotas[region] = of_region
    costs.warn_of_errors(Prices(errors=spot_errors | dict(on_demand.errors)))
    return Market(known_histories, on_demand, known_quotas, _scores_or_warning(scores))


def _tried[T](call: Callable[[], T]) -> T | BootstrapError:
    """Return the result of the call, or the error in place of it."""
    try:
        return call()
    except BootstrapError as exc:
        return exc


def _read_history(app: App, choice: Choice, since: datetime, region: str) -> History | BootstrapError:
    def read(_: str) -> History:
        return ec2.spot_price_history(app.aws.ec2(region), choice.names[region], since)

    return _tried(partial(without_waiting, region, read))


def _read_quotas(app: App, choice: Choice, region: str) -> dict[QuotaKey, float] | BootstrapError:
    families: dict[str, None] = {}
    for name in choice.names[region]:
        family = ec2.quota_family(name)
        if family:
            families[family] = None
    return _tried(partial(quota.read_values, app, region, families))


def _read_scores(app: App, choice: Choice) -> dict[str, int] | BootstrapError:
    """Return the scores of all regions' zones, read by one call up to ten regions."""
    regions = [region for region, names in choice.names.items() if names]
    if not regions:
        return {}

    def read(region: str) -> dict[str, int]:
        return ec2.placement_scores(app.aws.ec2(region), choice.all_names, regions)

    return _tried(partial(without_waiting, regions[0], read))


def _scores_or_warning(scores: dict[str, int] | BootstrapError) -> dict[str, int]:
    """Return the scores; a warning and none if they could not be read."""
    if isinstance(scores, BootstrapError):
        output.warn(f"Could not read the spot placement scores: {scores}", code="score-unknown")
        return {}
    return scores


# --- rows ------------------------------------------------------------------------------------------------


def _row(region: str, zone: str, facts: RegionFacts, instance_type: InstanceType, market: Market) -> ZonePrice:
    """Return what is known of the type in the zone."""
    name = instance_type.name
    family = ec2.quota_family(name)
    spot_quota = _quota(market, region, family, "spot")
    on_demand_quota = _quota(market, region, family, "on-demand")
    history = market.histories.get(region, {}).get((name, zone), ())
    known = [price.price for price in history]
    current = None
    if history:
        current = history[-1].price
    return ZonePrice(
        region=region,
        availability_zone=zone,
        instance_type=name,
        offered=(name, zone) in facts.offerings,
        spot_price_per_hour=current,
        lowest_spot_price=min(known, default=None),
        highest_spot_price=max(known, default=None),
        on_demand_price_per_hour=market.on_demand.on_demand.get((region, name)),
        vcpus=instance_type.vcpus or None,
        gpu=instance_type.gpu,
        quota_family=family,
        spot_quota=spot_quota,
        on_demand_quota=on_demand_quota,
        fits_spot_quota=_fits(instance_type.vcpus, spot_quota),
        fits_on_demand_quota=_fits(instance_type.vcpus, on_demand_quota),
        placement_score=market.scores.get(facts.zones[zone]),
        history=history,
    )


def _quota(market: Market, region: str, family: str | None, in_market: ec2.Market) -> float | None:
    """Return the region's quota of the family; None without a family, or if it is unknown."""
    if family is None:
        return None
    return market.quotas.get(region, {}).get(QuotaKey(family, in_market))


def _fits(vcpus: int, limit: float | None) -> bool | None:
    """Return whether one box is within the quota; None if its vCPUs or the quota are unknown."""
    if not vcpus or limit is None:
        return None
    return vcpus <= limit


def _by_price(row: ZonePrice) -> tuple[bool, bool, float, bool, float, str, str]:
    """Return the sort key: cheapest on spot first, then those sold on-demand alone, then zones without the type."""
    spot, on_demand = row.spot_price_per_hour, row.on_demand_price_per_hour
    prices = (spot is None, spot or 0.0, on_demand is None, on_demand or 0.0)
    return (not row.offered, *prices, row.instance_type, row.availability_zone)
