"""Availability zones: which a region has, which offer an instance type, and how EC2 scores them for spot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef

#: So many regions one request for scores may name, and so many filter values one request may have:
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html
_REGIONS_AT_ONCE = 10
_VALUES_AT_ONCE = 200


@translate_aws_errors()
def find_zones(ec2: EC2Client) -> dict[str, str]:
    """Return the region's availability zones, local zones left out: the id of each, by its name in this account."""
    filters: list[FilterTypeDef] = [{"Name": "zone-type", "Values": ["availability-zone"]}]
    reply = ec2.describe_availability_zones(Filters=filters)
    found: dict[str, str] = {}
    for raw in reply["AvailabilityZones"]:
        found[raw["ZoneName"]] = raw.get("ZoneId", "")
    return found


@translate_aws_errors()
def find_offerings(ec2: EC2Client, instance_types: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return where EC2 offers these instance types, as pairs of type and zone."""
    found: set[tuple[str, str]] = set()
    paginator = ec2.get_paginator("describe_instance_type_offerings")
    for names in batched(dict.fromkeys(instance_types), _VALUES_AT_ONCE):
        filters: list[FilterTypeDef] = [{"Name": "instance-type", "Values": list(names)}]
        for page in paginator.paginate(LocationType="availability-zone", Filters=filters):
            for raw in page["InstanceTypeOfferings"]:
                found.add((raw["InstanceType"], raw["Location"]))
    return frozenset(found)


@translate_aws_errors()
def placement_scores(ec2: EC2Client, instance_types: Sequence[str], regions: Sequence[str]) -> dict[str, int]:
    """Return EC2's score of each zone, by the zone's id: how likely it is to have one spot instance of these types.

    A score is a number from 1 to 10, always a low one for less than three types. An account may ask for few different
    lists of types and regions in a day: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-placement-score.html
    """
    found: dict[str, int] = {}
    paginator = ec2.get_paginator("get_spot_placement_scores")
    for names in batched(regions, _REGIONS_AT_ONCE):
        pages = paginator.paginate(
            InstanceTypes=list(instance_types), TargetCapacity=1, SingleAvailabilityZone=True, RegionNames=list(names)
        )
        for page in pages:
            for raw in page["SpotPlacementScores"]:
                found[raw["AvailabilityZoneId"]] = raw["Score"]
    return found
