"""Prices, USD per hour: spot from EC2 itself, on-demand from AWS's price list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from ..aws import translate_aws_errors
from ..models import SpotPrice

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.literals import InstanceTypeType
    from types_boto3_ec2.type_defs import SpotPriceTypeDef
    from types_boto3_pricing import PricingClient
    from types_boto3_pricing.type_defs import FilterTypeDef


@translate_aws_errors()
def spot_prices(ec2: EC2Client, instance_types: Iterable[str]) -> dict[tuple[str, str], SpotPrice]:
    """Return the current price of each type in each zone of the region, by (type, zone).

    A history that starts now holds the price that was in force at its start, once a zone:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    names = cast("list[InstanceTypeType]", sorted(set(instance_types)))
    if not names:
        return {}
    newest: dict[tuple[str, str], SpotPrice] = {}
    for page in ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=names, ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC)
    ):
        for raw in page["SpotPriceHistory"]:
            price = _spot_price(raw)
            if price is None:
                continue
            key = (price.instance_type, price.availability_zone)
            if key not in newest or newest[key].timestamp < price.timestamp:
                newest[key] = price
    return newest


def _spot_price(raw: SpotPriceTypeDef) -> SpotPrice | None:
    """Return the price of a record; None if it lacks the type, the zone, the time or the number."""
    try:
        return SpotPrice(raw["InstanceType"], raw["AvailabilityZone"], float(raw["SpotPrice"]), raw["Timestamp"])
    except (KeyError, ValueError):
        return None


@translate_aws_errors()
def on_demand_price(pricing: PricingClient, region: str, instance_type: str) -> float | None:
    """Return the list price of a Linux instance of this type, or None if the price list has none.

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
    filters: list[FilterTypeDef] = []
    for field, value in attributes.items():
        filters.append({"Type": "TERM_MATCH", "Field": field, "Value": value})
    reply = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)
    prices: list[float] = []
    for product in reply["PriceList"]:
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
