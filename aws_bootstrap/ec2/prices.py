"""Spot prices, USD per hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..aws import pages
from ..models import SpotPrice


def spot_prices(ec2: Any, instance_types: Iterable[str]) -> dict[tuple[str, str], SpotPrice]:
    """The current price of each type in each zone of the region, by (type, zone).

    A history that starts now holds the price that was in force at its start, once a zone:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    wanted = sorted(set(instance_types))
    if not wanted:
        return {}
    history = pages(
        ec2,
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=wanted,
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC),
    )
    newest: dict[tuple[str, str], SpotPrice] = {}
    for raw in history:
        price = SpotPrice(raw["InstanceType"], raw["AvailabilityZone"], float(raw["SpotPrice"]), raw["Timestamp"])
        key = (price.instance_type, price.availability_zone)
        if key not in newest or newest[key].timestamp < price.timestamp:
            newest[key] = price
    return newest
