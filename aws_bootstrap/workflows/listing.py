"""List instance types and images, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2
from ..aws import each_region, together
from ..models import Image, ImageList, ImageRow, InstanceType, InstanceTypeList, InstanceTypeRow
from ..quota import Kind
from . import quota

if TYPE_CHECKING:
    from ..app import App

IMAGES_A_REGION = 20


def instance_types(app: App, prefix: str, regions: Sequence[str]) -> InstanceTypeList:
    """The types whose names begin with the prefix, the small before the large."""
    asked = regions or (app.aws.region,)
    found, failed = each_region(asked, lambda r: ec2.find_instance_types(app.aws.ec2(r), [f"{prefix}*"]))
    rows = tuple(_type_row(r, kind) for r, kinds in found.items() for kind in sorted(kinds, key=_by_size))
    return InstanceTypeList(
        rows,
        regions_failed=failed,
        prefix=prefix,
        regions=tuple(found),
        access=app.access,
        enough=_enough(app, rows, tuple(found)),
    )


def _enough(app: App, rows: Sequence[InstanceTypeRow], regions: Sequence[str]) -> dict[str, int]:
    """For each family listed, the spot quota to request for a box of its smallest type in all these regions."""
    smallest: dict[str, int] = {}
    for row in rows:
        if row.quota_family:
            smallest[row.quota_family] = min(row.vcpus, smallest.get(row.quota_family, row.vcpus))
    values = together(*(partial(quota.enough, app, Kind(f, "spot"), regions, vcpus) for f, vcpus in smallest.items()))
    return dict(zip(smallest, values, strict=True))


def images(app: App, name_filter: str, regions: Sequence[str]) -> ImageList:
    """The newest available images of that name pattern."""
    asked = regions or (app.aws.region,)
    found, failed = each_region(asked, lambda r: ec2.find_images(app.aws.ec2(r), name_filter)[:IMAGES_A_REGION])
    return ImageList(
        tuple(_image_row(r, image) for r, images in found.items() for image in images),
        regions_failed=failed,
        name_filter=name_filter,
        regions=tuple(found),
        access=app.access,
    )


def _by_size(kind: InstanceType) -> tuple[str, int, int, str]:
    return kind.name.partition(".")[0], kind.vcpus, kind.memory_mib, kind.name


def _type_row(region: str, kind: InstanceType) -> InstanceTypeRow:
    family = ec2.quota_family(kind.name)
    return InstanceTypeRow(region, kind.name, kind.vcpus, kind.memory_mib, family, kind.gpu)


def _image_row(region: str, image: Image) -> ImageRow:
    return ImageRow(region, image.image_id, image.name, image.creation_date[:10], image.architecture)
