"""Instance types and images, region by region."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import groupby

from click import style

from ..models import ImageList, ImageRow, InstanceTypeList, InstanceTypeRow
from .text import aligned, command, heading, next_commands, quota_request, text


@text.register
def _(result: InstanceTypeList) -> str:
    """The types with size and GPU; the quota commands of their families."""
    if not result.instance_types:
        return f"No instance type begins with {result.prefix} in {', '.join(result.regions)}."
    parts = [_types(region, list(rows)) for region, rows in groupby(result.instance_types, lambda row: row.region)]
    return "\n\n".join([*parts, *_quotas(result)])


@text.register
def _(result: ImageList) -> str:
    """The images, and how to launch with the newest."""
    if not result.images:
        hint = "Give another pattern with --filter; quote it, and end it with *."
        return f"No available image is named '{result.name_filter}' in {', '.join(result.regions)}.\n{hint}"
    parts = [_images(region, rows) for region, rows in groupby(result.images, lambda row: row.region)]
    again = f"{result.access.program} launch --dry-run --ami-filter {shlex.quote(result.images[0].name)}"
    return "\n\n".join([*parts, next_commands({"Use the newest": again})])


def _types(region: str, rows: Sequence[InstanceTypeRow]) -> str:
    cells = [
        [row.instance_type, f"{row.vcpus} vCPUs", f"{row.memory_mib / 1024:g} GiB", row.gpu or "-"] for row in rows
    ]
    return "\n".join([heading(region), *aligned(cells, right=(1, 2))])


def _quotas(result: InstanceTypeList) -> list[str]:
    """The commands for the families listed."""
    return [next_commands(_commands(result, family)) for family in result.enough]


def _commands(result: InstanceTypeList, family: str) -> dict[str, str]:
    where = "".join(f" -r {region}" for region in result.regions)
    return {
        f"See the {family} quota": f"{result.access.program} quota show --family {family}{where}",
        "Ask for more": quota_request(result.access, family, "spot", result.enough[family], result.regions),
    }


def _images(region: str, rows: Iterable[ImageRow]) -> str:
    lines = [heading(region)]
    for row in rows:
        lines += [
            f"  {row.name}",
            f"    {command(row.image_id)}  {row.architecture}  {style(row.creation_date, dim=True)}",
        ]
    return "\n".join(lines)
