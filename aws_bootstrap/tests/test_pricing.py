"""`--max-price`: what a market costs, and what is not bought (workflows/launch/pricing.py)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_bootstrap.aws_errors import to_aws_error
from aws_bootstrap.errors import CapacityError
from aws_bootstrap.models import Prices
from aws_bootstrap.workflows.launch import pricing
from aws_bootstrap.workflows.launch.capacity import Attempt
from aws_bootstrap.workflows.launch.pricing import with_enough


@pytest.fixture
def priced():
    """An app whose price list answers with these prices in turn: `priced("0.5", None)`; None stands for no price."""
    pricing = boto3.client("pricing", "us-east-1")
    ec2 = boto3.client("ec2", "us-west-2")
    with Stubber(pricing) as list_prices, Stubber(ec2) as spot_prices:

        def answering(on_demand: str | None = None, spot: str | None = None):
            dimension = {"pricePerUnit": {"USD": on_demand}}
            product = {"terms": {"OnDemand": {"term": {"priceDimensions": {"dimension": dimension}}}}}
            list_prices.add_response("get_products", {"PriceList": [json.dumps(product)] if on_demand else []})
            point = {"InstanceType": "g4dn.xlarge", "AvailabilityZone": "a", "SpotPrice": spot, "Timestamp": NOW}
            spot_prices.add_response("describe_spot_price_history", {"SpotPriceHistory": [point] if spot else []})
            return SimpleNamespace(aws=SimpleNamespace(pricing=lambda: pricing, ec2=lambda region: ec2))

        yield answering


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def check_price(app, attempt: Attempt, planned: Prices, max_price: float | None) -> None:
    """As a launch does: the prices are read where an option limits the cost."""
    current = planned if max_price is None else pricing.current_prices(app, attempt, planned)
    pricing.check_price(attempt, current, max_price)


BOUGHT = Attempt("us-west-2", "g4dn.xlarge", "on-demand")


def test_on_demand_at_a_price_that_nobody_knows_is_not_bought_under_max_price(priced):
    """mutants.md, `check_price`."""
    with pytest.raises(CapacityError, match="price is not known"):
        check_price(priced(on_demand=None), BOUGHT, Prices(), 0.6)


def test_on_demand_above_max_price_is_not_bought(priced):
    with pytest.raises(CapacityError, match=r"\$0.7000 an hour, more than --max-price 0.6"):
        check_price(priced(on_demand="0.7"), BOUGHT, Prices(), 0.6)
    check_price(priced(on_demand="0.6"), BOUGHT, Prices(), 0.6)
    check_price(priced(on_demand=None), BOUGHT, Prices(), None)


def test_spot_without_a_known_price_is_left_to_ec2_which_holds_it_to_max_price(priced):
    check_price(priced(spot=None), replace(BOUGHT, market="spot"), Prices(), 0.6)
    with pytest.raises(CapacityError, match="more than --max-price"):
        check_price(priced(spot="0.7"), replace(BOUGHT, market="spot"), Prices(), 0.6)


def test_a_list_price_that_the_plan_has_is_not_read_again():
    planned = Prices(on_demand={("us-west-2", "g4dn.xlarge"): 0.5})
    without_aws: Any = SimpleNamespace()
    check_price(without_aws, BOUGHT, planned, 0.6)
    with pytest.raises(CapacityError, match=r"\$0.5000 an hour"):
        check_price(without_aws, BOUGHT, planned, 0.4)


@pytest.mark.parametrize(
    ("price", "limit"), [("0.1412", "0.15"), ("0.15", "0.15"), ("0.0004", "0.01"), ("7.5", "7.50")]
)
def test_the_limit_that_would_be_enough_is_named(priced, price, limit):
    with pytest.raises(CapacityError) as caught:
        check_price(priced(spot=price), replace(BOUGHT, market="spot"), Prices(), 0.0001)
    assert caught.value.hint == (
        f"Allow g4dn.xlarge (spot) in us-west-2, about ${float(price):.4f} an hour: --max-price {limit}"
    )


def test_the_limit_that_ec2_names_is_passed_on():
    """https://github.com/aws/aws-parallelcluster-node/pull/415 has EC2's sentence."""
    sentence = (
        "Your Spot request price of 0.01 is lower than the minimum required Spot request fulfillment price of {}."
    )
    refused = to_aws_error("SpotMaxPriceTooLow", sentence.format("0.0374"))
    hint = with_enough(refused, replace(BOUGHT, market="spot")).hint
    assert hint == "Allow g4dn.xlarge (spot) in us-west-2, about $0.0374 an hour: --max-price 0.04"
    other = to_aws_error("InsufficientInstanceCapacity", sentence.format("0.0374"))
    assert with_enough(other, BOUGHT).hint == other.hint
