"""Spot placement scores: how likely a region or a zone has the capacity of a request, the same for every caller.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-placement-score.html
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from .launches import vcpus

#: A request may name so many regions.
MOST_REGIONS = 10
#: A request for fewer types always has a low score.
_ENOUGH_TYPES, _LOW = 3, 3


def scores(types: Sequence[str], target: int, regions: Sequence[str], *, by_zone: bool) -> list[dict[str, Any]]:
    """Return the entries of the reply, best first: one a region, or one a zone that offers one of the types."""
    found: list[dict[str, Any]] = []
    for region in regions:
        if not by_zone:
            offered = _offered("region", region, region)
            found.append({"Region": region, "Score": score(region, offered, types, target)})
            continue
        for zone in RegionsAndZonesBackend.zones.get(region, []):
            offered = _offered("availability-zone", region, zone.name)
            if offered & set(types):
                points = score(zone.name, offered, types, target)
                found.append({"Region": region, "AvailabilityZoneId": zone.zone_id, "Score": points})
    found.sort(key=itemgetter("Score"), reverse=True)
    return found


def _offered(location_type: str, region: str, location: str) -> set[str]:
    """Return the types that the region or zone offers."""
    offers = INSTANCE_TYPE_OFFERINGS[location_type].get(region, [])
    return {offer["InstanceType"] for offer in offers if offer["Location"] == location}


def score(place: str, offered: set[str], types: Sequence[str], target: int) -> int:
    """Return a score: smaller requests and places that offer the types score higher; the rest is by place."""
    fitting = offered & set(types)
    if not fitting:
        return 1
    size = target * min(vcpus(instance_type) for instance_type in fitting)
    variation = sum(place.encode()) % 4
    points = max(1, min(9, 9 - size // 64 - variation))
    if len(set(types)) < _ENOUGH_TYPES:
        return min(points, max(1, _LOW - variation // 2))
    return points
