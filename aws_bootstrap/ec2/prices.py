"""Prices, USD per hour: spot from EC2 itself, on-demand from AWS's price list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..aws import explained, pages
from ..models import SpotPrice


@explained()
def spot_prices(ec2: Any, instance_types: Iterable[str]) -> dict[tuple[str, str], SpotPrice]:
    """Return the current price of each type in each zone of the region, by (type, zone).

    A history that starts now holds the price that was in force at its start, once a zone:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    names = sorted(set(instance_types))
    if not names:
        return {}
    history = pages(
        ec2,
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=names,
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC),
    )
    newest: dict[tuple[str, str], SpotPrice] = {}
    for raw in history:
        price = _spot_price(raw)
        if price is None:
            continue
        key = (price.instance_type, price.availability_zone)
        if key not in newest or newest[key].timestamp < price.timestamp:
            newest[key] = price
    return newest


def _spot_price(raw: dict[str, Any]) -> SpotPrice | None:
    """Return the price of a record; None for one that names no type, zone, time or number."""
    try:
        return SpotPrice(raw["InstanceType"], raw["AvailabilityZone"], float(raw["SpotPrice"]), raw["Timestamp"])
    except (KeyError, ValueError):
        return None


@explained()
def on_demand_price(pricing: Any, region: str, instance_type: str) -> float | None:
    """Return the list price of a Linux instance of this type, or None where the price list has none.

    `pricing` is a client of the Price List service, which lives in a few regions only (aws.py: PRICING_REGION):
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-list-query-api.html
    """
    attributes = {
        "regionCode": region,
        "instanceType": instance_type,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in attributes.items()]
    with explained():
        found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    prices: list[float] = []
    for product in found:
        for price in _on_demand_terms(json.loads(product)):
            prices.append(float(price))
    positive = [price for price in prices if price > 0]
    return min(positive, default=None)


def _on_demand_terms(product: dict[str, Any]) -> Iterable[str]:
    """Yield the prices in USD of a product's on-demand terms."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            if "USD" in dimension.get("pricePerUnit", {}):
                yield dimension["pricePerUnit"]["USD"]
