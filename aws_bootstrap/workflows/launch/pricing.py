"""Hold an attempt to --max-price. EC2 itself limits spot requests to it; on-demand is limited here alone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ...errors import AwsError, CapacityError
from ...models import Prices
from .. import costs
from .capacity import PRICE_TOO_LOW, Attempt

if TYPE_CHECKING:
    from ...app import App

#: EC2's own sentence names the price that would do: "Your Spot request price of 0.001 is lower than the minimum
#: required Spot request fulfillment price of 0.0374."
_FULFILLMENT_PRICE = re.compile(r"fulfillment price of (\d+(?:\.\d+)?)")


def check_price(attempt: Attempt, current: Prices, max_price: float | None) -> None:
    """Raise CapacityError if the attempt costs more than `max_price`, or if its on-demand price is not known."""
    if max_price is None:
        return
    price = current.of_type(attempt.region, attempt.instance_type).of(attempt.market)
    if price is None and attempt.market == "spot":
        return  # no history: EC2 itself holds the request to --max-price
    if price is None:
        reason = "The on-demand price is not known, and --max-price is set."
        raise CapacityError(reason, aws_code=PRICE_TOO_LOW)
    if price > max_price:
        reason = f"The price is ${price:.4f} an hour, more than --max-price {max_price:g}."
        raise CapacityError(reason, aws_code=PRICE_TOO_LOW, hint=_enough(attempt, price))


def current_prices(app: App, attempt: Attempt, planned: Prices) -> Prices:
    """Return the prices of the attempt's market and type.

    A list price is read once a launch, if that succeeded. The spot price changes, so it is read for each attempt.
    """
    pair = (attempt.region, attempt.instance_type)
    if attempt.market == "spot":
        return costs.read_prices(app, spot=[pair])
    if pair in planned.on_demand:
        return planned
    return costs.read_prices(app, on_demand=[pair])


def with_enough(error: AwsError, attempt: Attempt) -> AwsError:
    """Return the error, with the limit that would be enough if EC2 refused the attempt for its price."""
    named = _FULFILLMENT_PRICE.search(str(error))
    if error.aws_code == PRICE_TOO_LOW and named:
        error.add_details(hint=_enough(attempt, float(named[1])))
    return error


def _enough(attempt: Attempt, price: float) -> str:
    """Return the hint that names a limit which allows this price: the next cent above it."""
    limit = math.ceil(round(price * 100, 6)) / 100
    return f"Allow {attempt.description}, about ${price:.4f} an hour: --max-price {limit:.2f}"
