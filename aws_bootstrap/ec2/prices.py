"""Prices, USD per hour: spot from EC2 itself, on-demand from AWS's price list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..aws import explained, pages
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


def on_demand_price(pricing: Any, region: str, instance_type: str) -> float | None:
    """The list price of a Linux instance of this type, or None where the price list has none.

    `pricing` is a client of the Price List service, which lives in a few regions only (aws.py: PRICING_REGION):
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-list-query-api.html
    """
    wanted = {
        "regionCode": region,
        "instanceType": instance_type,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    with explained():
        found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    prices = [float(price) for product in found for price in _on_demand_terms(json.loads(product))]
    return min((price for price in prices if price > 0), default=None)


def _on_demand_terms(product: dict[str, Any]) -> Iterable[str]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        yield from (d["pricePerUnit"]["USD"] for d in term["priceDimensions"].values() if "USD" in d["pricePerUnit"])
