"""The table of `prices`."""

from __future__ import annotations

from dataclasses import dataclass

from ..models import PriceReport, ZonePrice
from .prices import amount, fits
from .table import Columns, Table, tables

_PRICES: Columns = {
    "price.region": "Region",
    "price.availability_zone": "Zone",
    "price.instance_type": "Type",
    "offered": "Offered",
    "spot": "Spot USD/h",
    "lowest": "Lowest",
    "highest": "Highest",
    "on_demand": "On-demand USD/h",
    "price.vcpus": "vCPUs",
    "price.gpu": "GPU",
    "price.spot_quota": "Spot quota",
    "price.on_demand_quota": "On-demand quota",
    "fits": "One box",
    "price.placement_score": "Score",
}


@dataclass(frozen=True)
class PriceRow:
    """A zone's prices as a table shows them."""

    price: ZonePrice
    offered: str
    spot: str
    lowest: str
    highest: str
    on_demand: str
    fits: str


@tables.register
def price_tables(report: PriceReport) -> list[Table]:
    """Return the prices by zone."""
    return [Table(_PRICES, [_row(price) for price in report.prices])]


def _row(price: ZonePrice) -> PriceRow:
    on_demand = amount(price.on_demand_price_per_hour)
    if not price.offered:
        return PriceRow(price, "no", "-", "-", "-", on_demand, "-")
    return PriceRow(
        price,
        "yes",
        amount(price.spot_price_per_hour),
        amount(price.lowest_spot_price),
        amount(price.highest_spot_price),
        on_demand,
        fits(price),
    )
