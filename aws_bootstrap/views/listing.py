"""Instance types and images, region by region."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from click import style

from ..models import ImageList, ImageRow, InstanceTypeList, InstanceTypeRow, TypePrice
from ..models.cost import gp3_cost, public_address
from ..next_commands import next_commands
from ..next_offers import of_family, prices_of
from .costs import spot_and_on_demand
from .text import aligned, command, heading, next_lines, text, usd


@text.register
def instance_type_list(result: InstanceTypeList) -> str:
    """Return the types with size and GPU; then the quota commands of their families."""
    if not result.instance_types:
        return f"No instance type begins with {result.prefix} in {', '.join(result.regions)}."
    parts: list[str] = []
    for region, rows in groupby(result.instance_types, key=attrgetter("region")):
        parts.append(_types(region, rows))
    parts.append(_BESIDES)
    parts.append(next_lines([prices_of(result)]))
    for family in result.enough:
        parts.append(next_lines(of_family(result, family)))
    return "\n\n".join(parts)


@text.register
def image_list(result: ImageList) -> str:
    """Return the images, and how to launch with the newest."""
    if not result.images:
        hint = "Give another pattern with --filter; quote it, and end it with *."
        return f"No available image is named '{result.name_filter}' in {', '.join(result.regions)}.\n{hint}"
    parts: list[str] = []
    for region, rows in groupby(result.images, key=attrgetter("region")):
        parts.append(_images(region, rows))
    parts.append(next_lines(next_commands(result)))
    return "\n\n".join(parts)


#: What a box costs beside its instance.
_BESIDES = (
    f"Beside its instance a box costs about {usd(gp3_cost(100))} a month for 100 GB of disk (gp3), "
    f"and about {usd(public_address().monthly_cost_usd or 0)} for its public IPv4 address."
)


def _types(region: str, rows: Iterable[InstanceTypeRow]) -> str:
    cells = [_cells(row) for row in rows]
    return "\n".join([heading(region), *aligned(cells, right=(1, 2))])


def _cells(row: InstanceTypeRow) -> list[str]:
    memory_gib = row.memory_mib / 1024
    prices = TypePrice(row.region, row.instance_type, row.spot_price_per_hour, row.on_demand_price_per_hour)
    size = [row.instance_type, f"{row.vcpus} vCPUs", f"{memory_gib:g} GiB"]
    return [*size, row.gpu or "-", spot_and_on_demand(prices)]


def _images(region: str, rows: Iterable[ImageRow]) -> str:
    lines = [heading(region)]
    for row in rows:
        lines.append(f"  {row.name}")
        lines.append(f"    {command(row.image_id)}  {row.architecture}  {style(row.creation_date, dim=True)}")
    return "\n".join(lines)
