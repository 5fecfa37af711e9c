"""Hold an attempt to --max-price. EC2 itself limits spot requests to it; on-demand is limited here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import ec2
from ...aws import PRICING_REGION, without_waiting
from ...errors import BootstrapError, CapacityError
from ...models import SpotPrice
from .capacity import Attempt

if TYPE_CHECKING:
    from ...app import App


def check_price(app: App, attempt: Attempt, max_price: float | None) -> None:
    """Raise CapacityError if the attempt costs more than `max_price`, or if its on-demand price is not known."""
    if max_price is None:
        return
    if attempt.market == "spot":
        price = _lowest_spot_price(app, attempt)
        if price is None:
            return  # no history: EC2 itself holds the request to --max-price
    else:
        price = on_demand_price(app, attempt.region, attempt.instance_type)
        if price is None:
            raise _price_error("The on-demand price is not known, and --max-price is set.")
    if price > max_price:
        raise _price_error(f"The price is ${price:.4f} an hour, more than --max-price {max_price:g}.")


def on_demand_price(app: App, region: str, instance_type: str) -> float | None:
    """Return the on-demand price in USD per hour; None if it cannot be read."""

    def read(_: str) -> float | None:
        return ec2.on_demand_price(app.aws.pricing(), region, instance_type)

    try:
        return without_waiting(PRICING_REGION, read)
    except BootstrapError:
        return None


def _lowest_spot_price(app: App, attempt: Attempt) -> float | None:
    """Return the spot price of the cheapest zone in USD per hour; None if it cannot be read."""

    def read(region: str) -> dict[tuple[str, str], SpotPrice]:
        return ec2.spot_prices(app.aws.ec2(region), [attempt.instance_type])

    try:
        price_by_zone = without_waiting(attempt.region, read)
    except BootstrapError:
        return None
    prices = [spot.price for spot in price_by_zone.values()]
    return min(prices, default=None)


def _price_error(reason: str) -> CapacityError:
    """Return the error for an attempt whose price --max-price does not allow."""
    hint = "Raise --max-price, or try another --region or --instance-type."
    return CapacityError(reason, aws_code="SpotMaxPriceTooLow", hint=hint)
