"""Prices, USD per hour: spot from EC2 itself, on-demand from AWS's price list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from ..aws import translate_aws_errors
from ..models import SpotPrice

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.literals import InstanceTypeType
    from types_boto3_ec2.type_defs import SpotPriceTypeDef
    from types_boto3_pricing import PricingClient
    from types_boto3_pricing.literals import FilterTypeType
    from types_boto3_pricing.type_defs import FilterTypeDef

#: By so much a history begins before this machine's present: its clock may be ahead of EC2's, and a history that
#: begins in the future is empty. EC2 refuses requests of clocks that are off by more.
_CLOCK_AHEAD = timedelta(minutes=15)


@translate_aws_errors()
def spot_prices(ec2: EC2Client, instance_types: Iterable[str]) -> dict[tuple[str, str], SpotPrice]:
    """Return the current price of each type in each zone of the region, by (type, zone).

    A history holds the price that was in force at its start, and those since. The newest of each zone is the current
    one:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    newest: dict[tuple[str, str], SpotPrice] = {}
    for key, history in _history_since(ec2, instance_types, datetime.now(UTC) - _CLOCK_AHEAD).items():
        newest[key] = history[-1]
    return newest


@translate_aws_errors()
def spot_price_history(
    ec2: EC2Client, instance_types: Iterable[str], since: datetime
) -> dict[tuple[str, str], tuple[SpotPrice, ...]]:
    """Return the prices of each type in each zone of the region, by (type, zone), oldest first.

    The first one is that in force at that moment, where EC2 knows it, and the last one the current price.
    """
    # If this machine's clock is ahead of EC2's, a history of the last minutes alone would begin in the future.
    found = _history_since(ec2, instance_types, min(since, datetime.now(UTC) - _CLOCK_AHEAD))
    return {key: tuple(history) for key, history in found.items()}


def _history_since(
    ec2: EC2Client, instance_types: Iterable[str], since: datetime
) -> dict[tuple[str, str], list[SpotPrice]]:
    """Return the prices by (type, zone), oldest first."""
    names = cast("list[InstanceTypeType]", sorted(set(instance_types)))
    if not names:
        return {}
    found: dict[tuple[str, str], list[SpotPrice]] = {}
    for page in ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=names, ProductDescriptions=["Linux/UNIX"], StartTime=since
    ):
        for raw in page["SpotPriceHistory"]:
            price = _spot_price(raw)
            if price:
                found.setdefault((price.instance_type, price.availability_zone), []).append(price)
    for history in found.values():
        history.sort(key=attrgetter("timestamp"))
    return found


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
    reply = pricing.get_products(ServiceCode="AmazonEC2", Filters=_filters(region, "TERM_MATCH", instance_type))
    prices: list[float] = []
    for product in reply["PriceList"]:
        prices += _positive_prices(json.loads(product))
    return min(prices, default=None)


@translate_aws_errors()
def on_demand_prices(pricing: PricingClient, region: str, family: str) -> dict[str, float]:
    """Return the list prices of a family's Linux instances in a region, by type: of `g4dn` of g4dn.xlarge and so on."""
    lowest: dict[str, float] = {}
    filters = _filters(region, "CONTAINS", f"{family}.")
    for page in pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters):
        for raw in page["PriceList"]:
            product = json.loads(raw)
            instance_type = product.get("product", {}).get("attributes", {}).get("instanceType", "")
            prices = _positive_prices(product)
            if prices and instance_type.startswith(f"{family}."):
                lowest[instance_type] = min([*prices, lowest.get(instance_type, prices[0])])
    return lowest


def _filters(region: str, match: FilterTypeType, instance_type: str) -> list[FilterTypeDef]:
    """Return the filters for plain Linux on shared hardware, without reservations and capacity blocks."""
    attributes = {
        "regionCode": region,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    filters: list[FilterTypeDef] = [{"Type": match, "Field": "instanceType", "Value": instance_type}]
    for field, value in attributes.items():
        filters.append({"Type": "TERM_MATCH", "Field": field, "Value": value})
    return filters


def _positive_prices(product: dict[str, Any]) -> list[float]:
    """Return the prices above zero of a product's on-demand terms."""
    prices = [float(price) for price in _on_demand_terms(product)]
    return [price for price in prices if price > 0]


def _on_demand_terms(product: dict[str, Any]) -> Iterable[str]:
    """Yield the prices in USD of a product's on-demand terms."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            if "USD" in dimension.get("pricePerUnit", {}):
                yield dimension["pricePerUnit"]["USD"]
