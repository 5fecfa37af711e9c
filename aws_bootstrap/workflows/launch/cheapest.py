"""Order the attempts of a launch by their prices, for --cheapest. Pure but for its warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ... import output
from ...models import TypePrice
from ...models.facts import Market

#: A region and an instance type.
type Pair = tuple[str, str]


def ordered(pairs: Iterable[Pair], price_of: Callable[[str, str], TypePrice], market: Market) -> tuple[Pair, ...]:
    """Return the pairs, cheapest first in this market. Equal ones keep their order; unknown prices go last."""

    def by_price(pair: Pair) -> tuple[bool, float]:
        price = price_of(*pair).of(market)
        return price is None, price or 0.0

    return tuple(sorted(pairs, key=by_price))


def warn(
    pairs: Sequence[Pair], price_of: Callable[[str, str], TypePrice], market: Market, *, pinned: bool = False
) -> None:
    """Warn of each pair that goes last since its price is unknown, and where there is nothing to order.

    `pinned`: a data volume determines the region, so that one pair alone is what was requested.
    """
    if len(pairs) == 1 and pinned:
        return
    if len(pairs) == 1:
        message = "There is one type in one region, so --cheapest changes nothing. Repeat --region or --instance-type."
        output.warn(message, code="nothing-to-order")
        return
    for region, instance_type in pairs:
        if price_of(region, instance_type).of(market) is None:
            message = f"The {market} price of {instance_type} in {region} is unknown, so it is tried last."
            output.warn(message, code="price-unknown", region=region)
