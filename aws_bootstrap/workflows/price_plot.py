"""Draw the spot prices of a report over time, with matplotlib: the extra `plot`, imported here alone, when used."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BootstrapError
from ..files import write_whole
from ..models import PriceReport, ZonePrice

if TYPE_CHECKING:
    from pathlib import Path

#: More lines than this look alike.
MOST_LINES = 10


def check_installed() -> None:
    """Raise BootstrapError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise BootstrapError(
            "--plot requires matplotlib, which is not installed.",
            hint="Install the program with its extra, in its clone: uv tool install --force '.[plot]'",
            code="plot-missing",
        )


def plotted(report: PriceReport) -> tuple[ZonePrice, ...]:
    """Return the prices that a plot shows: the cheapest that have a history."""
    return tuple(price for price in report.available if price.history)[:MOST_LINES]


def write(path: Path, report: PriceReport) -> PriceReport:
    """Draw the report's history into the file, and return the report with its name.

    BootstrapError with the report if there is nothing to draw, or if the file cannot be written.
    """
    lines = plotted(report)
    if not lines:
        raise BootstrapError("There is no spot price to plot.", code="not-found").attach_result(report)
    picture = _drawn(report, lines, path.suffix.removeprefix(".").lower())
    try:
        write_whole(path, picture, mode=0o644)
    except OSError as exc:
        error = BootstrapError(f"Could not write {path}: {exc.strerror}", code="output-failed")
        raise error.attach_result(report) from exc
    return replace(report, plot=str(path))


def _drawn(report: PriceReport, lines: Sequence[ZonePrice], picture_format: str) -> bytes:
    """Return the picture: a step for each change of a price, and a dashed line for each on-demand price."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes: Any = figure.subplots()
    for price in lines:
        times, amounts = _steps(report, price)
        axes.plot(times, amounts, drawstyle="steps-post", label=f"{price.instance_type} {price.availability_zone}")
    _draw_on_demand(axes, lines)
    axes.set_title(_title(report, lines))
    axes.set_ylabel("USD an hour")
    axes.set_ylim(bottom=0)
    axes.set_xlim(report.since, report.until)
    axes.xaxis.axis_date("UTC")
    axes.set_xlabel("UTC")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format=picture_format, dpi=150)
    return picture.getvalue()


def _steps(report: PriceReport, price: ZonePrice) -> tuple[list[Any], list[float]]:
    """Return the times and prices of a line. It begins and ends with the period: a price holds until the next one."""
    times = [max(change.timestamp, report.since) for change in price.history]
    amounts = [change.price for change in price.history]
    return [*times, report.until], [*amounts, amounts[-1]]


def _draw_on_demand(axes: Any, lines: Sequence[ZonePrice]) -> None:
    """Draw the on-demand price of the plot's instance type; of several types the lines would hide those of spot."""
    names = {price.instance_type for price in lines}
    if len(names) > 1:
        return
    by_region: dict[str, float] = {}
    for price in lines:
        if price.on_demand_price_per_hour is not None:
            by_region[price.region] = price.on_demand_price_per_hour
    for region, on_demand in by_region.items():
        axes.axhline(on_demand, linestyle="--", color="grey", linewidth=1, label=f"on-demand {region}")


def _title(report: PriceReport, lines: Sequence[ZonePrice]) -> str:
    """Return the title, which says how many lines are missing."""
    what = "Spot prices"
    if len(lines) < len(report.available):
        what = f"Spot prices of the {len(lines)} cheapest of {len(report.available)}"
    return f"{what}, {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}"
