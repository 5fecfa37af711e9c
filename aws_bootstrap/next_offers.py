"""The commands to type next about what AWS offers, quotas and prices, and about the clusters of a status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .command_lines import own
from .models import (
    Command,
    EndedBox,
    InstanceStatus,
    InstanceTypeList,
    OrphanVolume,
    PriceReport,
    QuotaReport,
    StatusReport,
    ZonePrice,
)
from .models.facts import Market
from .models.quota import SMALLEST_BOX, value_to_request

#: So many types a printed launch names at most.
_MOST_TYPES = 4


def of_family(result: InstanceTypeList, family: str) -> list[Command]:
    """Return how to see and to raise the quota of an instance family, in the regions listed."""
    regions = region_options(result.regions)
    show = own(f"See the {family} quota", "quota", "show", "--family", family, *regions)
    return [show, quota_request(family, "spot", result.enough[family], result.regions)]


def quota_request(family: str, market: Market, vcpus: int, regions: Iterable[str]) -> Command:
    """Return the command that requests so many vCPUs in these regions; the default family is left out."""
    options: list[str] = []
    if family != "gvt":
        options += ["--family", family]
    options += ["--type", market, "--desired-value", str(vcpus), *region_options(regions)]
    return own("Request more", "quota", "request", *options)


def region_options(regions: Iterable[str]) -> list[str]:
    """Return the options that name these regions."""
    words: list[str] = []
    for region in regions:
        words += ["-r", region]
    return words


def after_quota(report: QuotaReport) -> tuple[Command, ...]:
    """Return a request for the first quota shown, in all its regions: for the family's smallest boxes."""
    if not report.quotas:
        return ()
    first = report.quotas[0]
    regions: list[str] = []
    highest = 0.0
    for quota in report.quotas:
        if quota.family == first.family and quota.quota_type == first.quota_type:
            regions.append(quota.region)
            highest = max(highest, quota.value)
    desired = value_to_request(highest, SMALLEST_BOX[first.family])
    return (quota_request(first.family, first.quota_type, desired, regions),)


def prices_of(result: InstanceTypeList) -> Command:
    """Return how to see the prices by zone of the types listed, the first ones of many."""
    names = dict.fromkeys(row.instance_type for row in result.instance_types)
    words = type_options(list(names)[:_MOST_TYPES])
    return own("Prices by zone", "prices", *words, *region_options(result.regions))


def after_prices(report: PriceReport) -> tuple[Command, ...]:
    """Return the plan of a launch by these prices, a request where no quota allows one, and the family's types."""
    cheapest = [price for price in report.available if price.spot_price_per_hour is not None]
    allowed = [price for price in cheapest if price.fits_spot_quota is not False]
    commands: list[Command] = []
    if allowed:
        commands.append(_plan(allowed))
    elif cheapest:
        commands += _request(cheapest[0])
    if report.prices:
        family, _, _ = report.prices[0].instance_type.partition(".")
        words = ("--prefix", family, *region_options(report.regions_queried))
        commands.append(own(f"All types of {family}", "list", "instance-types", *words))
    return tuple(commands)


def _plan(prices: Sequence[ZonePrice]) -> Command:
    """Return the dry run of a launch in the regions of these prices, with their types: in the order of the prices."""
    names = list(dict.fromkeys(price.instance_type for price in prices))[:_MOST_TYPES]
    regions = dict.fromkeys(price.region for price in prices if price.instance_type in names)
    words = [*type_options(names), *region_options(regions)]
    if len(names) > 1 or len(regions) > 1:
        words.append("--cheapest")
    return own("Plan a launch by these prices", "launch", "--dry-run", *words)


def _request(price: ZonePrice) -> list[Command]:
    """Return the request for a quota that allows this type; none where its vCPUs or its family are unknown."""
    if price.quota_family is None or price.vcpus is None:
        return []
    desired = value_to_request(price.spot_quota, price.vcpus)
    return [quota_request(price.quota_family, "spot", desired, [price.region])]


def type_options(names: Iterable[str]) -> list[str]:
    """Return the options that name these instance types."""
    words: list[str] = []
    for name in names:
        words += ["--instance-type", name]
    return words


def is_of_another(found: InstanceStatus | EndedBox | OrphanVolume) -> bool:
    """Return whether an owner is recorded who is certainly not the caller."""
    return found.owner is not None and found.yours is False


def of_clusters(report: StatusReport) -> list[Command]:
    """Return how to see more of each cluster, its nodes that are missing too; not of one of somebody else."""
    boxes: list[InstanceStatus | EndedBox] = [*report.instances, *report.ended]
    found: dict[str, None] = {}
    for box in boxes:
        if box.cluster and not is_of_another(box):
            found[box.cluster] = None
    commands: list[Command] = []
    for cluster_id in found:
        commands.append(own(f"Cluster {cluster_id}", "cluster", "status", "--cluster-id", cluster_id))
    return commands
