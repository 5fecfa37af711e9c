"""List instance types and images by region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2
from ..aws import each_region
from ..models import Image, ImageList, ImageRow, InstanceType, InstanceTypeList, InstanceTypeRow, Prices
from ..models.quota import value_to_request
from ..parallel import gather, run_parallel
from ..quota import QuotaKey
from . import costs, quota

if TYPE_CHECKING:
    from ..app import App

IMAGES_PER_REGION = 20


def instance_types(app: App, prefix: str, regions: Sequence[str]) -> InstanceTypeList:
    """Return the instance types whose names begin with the prefix, smallest first in each family."""

    def read(region: str) -> list[InstanceType]:
        return ec2.find_instance_types(app.aws.ec2(region), [f"{prefix}*"])

    found, failed = each_region(regions or (app.aws.region,), read)
    rows: list[InstanceTypeRow] = []
    for region, in_region in found.items():
        for instance_type in sorted(in_region, key=_by_size):
            rows.append(_type_row(region, instance_type))
    prices, enough = gather(
        partial(costs.read_family_prices, app, [(row.region, row.instance_type) for row in rows]),
        partial(_quotas_to_request, app, rows, tuple(found)),
    )
    costs.warn_of_errors(prices)
    rows = [_priced(row, prices) for row in rows]
    return InstanceTypeList(
        tuple(rows),
        regions_failed=failed,
        prefix=prefix,
        regions=tuple(found),
        enough=enough,
    )


def _priced(row: InstanceTypeRow, prices: Prices) -> InstanceTypeRow:
    """Return the row with the prices of its type."""
    of_type = prices.of_type(row.region, row.instance_type)
    return replace(
        row,
        spot_price_per_hour=of_type.spot_price_per_hour,
        on_demand_price_per_hour=of_type.on_demand_price_per_hour,
    )


def _quotas_to_request(app: App, rows: Sequence[InstanceTypeRow], regions: Sequence[str]) -> dict[str, int]:
    """Return the spot quota to request in these regions, by family, for boxes of its smallest listed type."""
    smallest: dict[str, int] = {}
    for row in rows:
        if row.quota_family:
            smallest[row.quota_family] = min(row.vcpus, smallest.get(row.quota_family, row.vcpus))
    calls: list[Callable[[], float | None]] = []
    for family in smallest:
        calls.append(partial(quota.highest_value, app, QuotaKey(family, "spot"), regions))
    to_request: dict[str, int] = {}
    for family, current in zip(smallest, run_parallel(calls), strict=True):
        to_request[family] = value_to_request(current, smallest[family])
    return to_request


def images(app: App, name_filter: str, regions: Sequence[str]) -> ImageList:
    """Return the newest available images whose names match the pattern."""

    def read(region: str) -> list[Image]:
        found = ec2.find_images(app.aws.ec2(region), [name_filter])
        return found[:IMAGES_PER_REGION]

    found, failed = each_region(regions or (app.aws.region,), read)
    rows: list[ImageRow] = []
    for region, in_region in found.items():
        for image in in_region:
            rows.append(_image_row(region, image))
    return ImageList(
        tuple(rows),
        regions_failed=failed,
        name_filter=name_filter,
        regions=tuple(found),
    )


def _by_size(instance_type: InstanceType) -> tuple[str, int, int, str]:
    """Return the sort key of an instance type: its family, then its vCPUs, then its memory."""
    name = instance_type.name
    family, _, _ = name.partition(".")
    return family, instance_type.vcpus, instance_type.memory_mib, name


def _type_row(region: str, instance_type: InstanceType) -> InstanceTypeRow:
    return InstanceTypeRow(
        region,
        instance_type.name,
        instance_type.vcpus,
        instance_type.memory_mib,
        ec2.quota_family(instance_type.name),
        instance_type.gpu,
    )


def _image_row(region: str, image: Image) -> ImageRow:
    return ImageRow(region, image.image_id, image.name, image.creation_date[:10], image.architecture)
