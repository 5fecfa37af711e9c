"""Results of `list`: two bare lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .base import Listing, private
from .facts import RegionFailure


@dataclass(frozen=True)
class InstanceTypeRow:
    """An instance type as one region has it. `quota_family` and `gpu` are null where it counts or has none.

    The prices are those of an hour, on spot in the cheapest zone; null if unknown.
    """

    region: str
    instance_type: str
    vcpus: int
    memory_mib: int
    quota_family: str | None
    gpu: str | None
    spot_price_per_hour: float | None = None
    on_demand_price_per_hour: float | None = None


@dataclass(frozen=True)
class ImageRow:
    """An AMI as one region has it. `creation_date` like 2026-01-10."""

    region: str
    image_id: str
    name: str
    creation_date: str
    architecture: str


@dataclass(frozen=True)
class InstanceTypeList(Listing):
    """The instance types whose names begin alike."""

    instance_types: tuple[InstanceTypeRow, ...]
    regions_failed: tuple[RegionFailure, ...] = private(())
    prefix: str = private("")
    regions: tuple[str, ...] = private(())
    #: By quota family: the value to request on spot, above what every region has.
    enough: Mapping[str, int] = private(MappingProxyType({}))


@dataclass(frozen=True)
class ImageList(Listing):
    """The newest AMIs of one name pattern, each region's newest first."""

    images: tuple[ImageRow, ...]
    regions_failed: tuple[RegionFailure, ...] = private(())
    name_filter: str = private("")
    regions: tuple[str, ...] = private(())
