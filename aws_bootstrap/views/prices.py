"""Prices by zone: now, their history as a row of bars, and the quota."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime

from click import style, unstyle

from ..models import PriceReport, SpotPrice, ZonePrice
from ..next_commands import next_commands
from .text import aligned, heading, next_lines, paragraph, plural, terminal_columns, text

#: The text shows so many zones; a table shows all.
_MOST_ROWS = 30
_BARS = "▁▂▃▄▅▆▇█"
#: Two bars a day.
_BARS_IN_ALL = 14
_HEADINGS = ("", "", "spot", "7 days", "lowest", "highest", "on-demand", "quota")
_AMOUNTS = (2, 4, 5, 6)
#: The columns that a narrow terminal goes without: the history shows them roughly, and -o table exactly.
_RANGE = (4, 5)
_LONGEST_LIST = 100
_SCORE = "score"
_HOW_SCORES = (
    "The score is EC2's own, 1 to 10: how likely a zone has one spot box of any of these types. For fewer than three "
    "types it is always low. EC2 chooses the zone of a launch."
)


@text.register
def price_report(report: PriceReport) -> str:
    """Return a line a zone, cheapest first; then what the types are, the quotas, and what to do."""
    if not report.instance_types:
        return f"No instance type has {report.gpu_memory_gb} GB on each GPU in {', '.join(report.regions_queried)}."
    shown = report.available[:_MOST_ROWS]
    parts = ["No zone offers it."]
    if shown:
        parts = ["\n".join([heading(_title(report)), *_zones(report, shown)])]
    parts.append(_not_offered(report))
    parts.append("\n".join([heading("Instance types"), *_types(shown or report.prices)]))
    parts.append(_chosen(report))
    quotas = _quotas(report.prices)
    if quotas:
        parts.append("\n".join([heading("Your vCPU quotas; running boxes use a part of them"), *quotas]))
    if _has_scores(shown):
        parts.append(style(paragraph(_HOW_SCORES), dim=True))
    if report.plot:
        parts.append(f"The plot is in {report.plot}.")
    parts.append(next_lines(next_commands(report)))
    return "\n\n".join(part for part in parts if part)


def _title(report: PriceReport) -> str:
    """Return the title, which says how many zones are missing."""
    if len(report.available) <= _MOST_ROWS:
        return "Prices in USD an hour, cheapest first"
    return f"Prices in USD an hour, the {_MOST_ROWS} cheapest of {len(report.available)}; all of them with -o table"


def _zones(report: PriceReport, prices: Sequence[ZonePrice]) -> list[str]:
    """Return the lines of these zones, with scores if there are any."""
    has_scores = _has_scores(prices)
    rows: list[list[str]] = []
    headings = list(_HEADINGS)
    if has_scores:
        headings.append(_SCORE)
    rows.append([style(title, dim=True) for title in headings])
    for price in prices:
        row = [
            price.instance_type,
            price.availability_zone,
            amount(price.spot_price_per_hour),
            bars(price.history, report.since, report.until),
            amount(price.lowest_spot_price),
            amount(price.highest_spot_price),
            amount(price.on_demand_price_per_hour),
            fits(price),
        ]
        if has_scores:
            row.append(str(price.placement_score or "-"))
        rows.append(row)
    lines = aligned(rows, right=_AMOUNTS)
    if max(len(unstyle(line)) for line in lines) <= terminal_columns():
        return lines
    for row in rows:
        del row[_RANGE[0] : _RANGE[1] + 1]
    return aligned(rows, right=(2, 4))


def _has_scores(prices: Iterable[ZonePrice]) -> bool:
    return any(price.placement_score is not None for price in prices)


def amount(price: float | None) -> str:
    """Return a price in USD without its sign."""
    if price is None:
        return "unknown"
    return f"{price:.4f}"


def fits(price: ZonePrice) -> str:
    """Return in which markets one box is within the quota."""
    within: list[str] = []
    if price.fits_spot_quota:
        within.append("spot")
    if price.fits_on_demand_quota:
        within.append("on-demand")
    if len(within) == 2:
        return "fits"
    if within:
        return f"{within[0]} only"
    if price.fits_spot_quota is None or price.fits_on_demand_quota is None:
        return "unknown"
    return "too small"


def bars(history: Sequence[SpotPrice], since: datetime, until: datetime) -> str:
    """Return the period as bars of equal time, from its lowest to its highest price; empty without a history."""
    if not history:
        return ""
    prices = [price.price for price in history]
    lowest, highest = min(prices), max(prices)
    drawn: list[str] = []
    for number in range(1, _BARS_IN_ALL + 1):
        moment = since + (until - since) * number / _BARS_IN_ALL
        drawn.append(_bar(_price_at(history, moment), lowest, highest))
    return "".join(drawn)


def _price_at(history: Sequence[SpotPrice], moment: datetime) -> float:
    """Return the price in force at that moment: the last one that began before."""
    current = history[0].price
    for price in history:
        if price.timestamp <= moment:
            current = price.price
    return current


def _bar(price: float, lowest: float, highest: float) -> str:
    if highest == lowest:
        return _BARS[0]
    return _BARS[round((price - lowest) / (highest - lowest) * (len(_BARS) - 1))]


def _not_offered(report: PriceReport) -> str:
    """Return the types that were named, each with the zones that lack it."""
    zones_by_type: dict[str, list[str]] = {}
    for price in report.prices:
        if not price.offered:
            zones_by_type.setdefault(price.instance_type, []).append(price.availability_zone)
    if not zones_by_type or report.gpu_memory_gb is not None:
        return ""
    parts = [f"{name} in {' and '.join(zones)}" for name, zones in zones_by_type.items()]
    return f"Not offered: {', '.join(parts)}"


def _chosen(report: PriceReport) -> str:
    """Return the types that the memory of their GPUs has chosen; nothing where they were named."""
    if report.gpu_memory_gb is None:
        return ""
    count = plural(len(report.instance_types), "type")
    title = f"Chosen: {count} with {report.gpu_memory_gb} GB or more on each GPU"
    width = min(_LONGEST_LIST, terminal_columns())
    names = textwrap.wrap(
        ", ".join(report.instance_types), width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    return "\n".join([heading(title), *names])


def _types(prices: Iterable[ZonePrice]) -> list[str]:
    """Return a line for each type: its vCPUs and GPUs."""
    rows: dict[str, list[str]] = {}
    for price in prices:
        vcpus = "? vCPUs"
        if price.vcpus:
            vcpus = f"{price.vcpus} vCPUs"
        rows[price.instance_type] = [price.instance_type, vcpus, price.gpu or "-"]
    return aligned(rows.values(), right=(1,))


def _quotas(prices: Iterable[ZonePrice]) -> list[str]:
    """Return a line for each family of a region."""
    rows: dict[tuple[str, str], list[str]] = {}
    for price in prices:
        if price.quota_family is None:
            continue
        spot, on_demand = _vcpus(price.spot_quota), _vcpus(price.on_demand_quota)
        key = (price.region, price.quota_family)
        rows[key] = [price.region, price.quota_family, f"{spot} on spot,", f"{on_demand} on-demand"]
    return aligned([rows[key] for key in sorted(rows)])


def _vcpus(quota: float | None) -> str:
    if quota is None:
        return "unknown"
    return f"{quota:g}"
