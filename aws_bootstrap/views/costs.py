"""Prices as a person reads them. What is unknown is said, never left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..models import MonthlyCost, TypePrice
from ..models.cost import known_part
from .text import usd


def hourly(price: float | None) -> str:
    """Return a price an hour."""
    if price is None:
        return "an unknown price"
    return f"about {usd(price)}/h"


def a_month(cost: float | None) -> str:
    """Return what something costs a month."""
    if cost is None:
        return "price unknown"
    return f"about {usd(cost)}/month"


def at_most_a_month(cost: float | None) -> str:
    """Return what a snapshot costs a month at most: EBS bills the blocks that it stores."""
    if cost is None:
        return "price unknown"
    return f"at most {a_month(cost)}"


def spot_and_on_demand(prices: TypePrice) -> str:
    """Return the prices an hour of both markets."""
    spot = _or_unknown(prices.spot_price_per_hour)
    return f"spot {spot}, on-demand {_or_unknown(prices.on_demand_price_per_hour)}"


def _or_unknown(price: float | None) -> str:
    if price is None:
        return "unknown"
    return f"about {usd(price)}/h"


def monthly(total: float | None, costs: Iterable[MonthlyCost]) -> str:
    """Return what disks and address cost a month, with each part."""
    parts = ", ".join([_part(cost) for cost in costs])
    if total is None:
        return f"unknown: {parts}"
    return f"about {usd(total)}: {parts}"


def _part(cost: MonthlyCost) -> str:
    price = "unknown"
    if cost.monthly_cost_usd is not None:
        price = usd(cost.monthly_cost_usd)
    if cost.size_gb is None:
        return f"{cost.item} {price}"
    return f"{cost.item} ({cost.size_gb} GB) {price}"


def sum_of(prices: Sequence[float | None], unit: str, *, complete: bool = True) -> str:
    """Return the sum of the prices; that it is more than that where a price is unknown, or what there is to price."""
    known = usd(known_part(prices))
    if None in prices:
        return f"more than {known} {unit}; {prices.count(None)} of {len(prices)} prices are unknown"
    if not complete:
        return f"more than {known} {unit}; not every region could be read"
    return f"about {known} {unit}"
