"""What ends the box of an attempt by itself: the time that the user set, or that the money lasts, and idleness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ...config import TAG_DEADLINE, TAG_IDLE_TIMEOUT
from ...errors import CapacityError
from ...guardian import Limits
from ...models import Prices
from ...models.cost import HOURS_PER_MONTH, known_part
from .capacity import PRICE_TOO_LOW, Attempt

if TYPE_CHECKING:
    from .plan import LaunchPlan


#: A box takes that long to boot.
_LEAST_SECONDS = 60.0


def limits_of(plan: LaunchPlan, attempt: Attempt, current: Prices) -> Limits:
    """Return the limits of each box of the attempt. CapacityError if --max-cost is set and the price is not known.

    A node that is added to a cluster ends with the others.
    """
    limits = _own_limits(plan, attempt, current)
    if plan.cluster is None or plan.cluster.deadline is None:
        return limits
    seconds = max(_LEAST_SECONDS, (plan.cluster.deadline - datetime.now(UTC)).total_seconds())
    return Limits(seconds, limits.idle_timeout)


def _own_limits(plan: LaunchPlan, attempt: Attempt, current: Prices) -> Limits:
    """Return the limits that the options set."""
    config = plan.config
    if config.max_cost is None:
        return Limits(config.ttl, config.idle_timeout)
    boxes = plan.cluster.size if plan.cluster else 1
    seconds = _seconds_for(config.max_cost / boxes, _price(current, plan, attempt), plan)
    if config.ttl is not None and config.ttl <= seconds:
        return Limits(config.ttl, config.idle_timeout)
    return Limits(seconds, config.idle_timeout, "cost-cap")


def _price(prices: Prices, plan: LaunchPlan, attempt: Attempt) -> float:
    """Return what an hour of the attempt costs at most: EC2 chooses the zone, so on spot that of the dearest one."""
    price = prices.on_demand.get((attempt.region, attempt.instance_type))
    if attempt.market == "spot":
        price = prices.highest_spot_price(attempt.region, attempt.instance_type, plan.zone)
    if price is None:
        reason = f"The {attempt.market} price is not known, and --max-cost is set."
        raise CapacityError(reason, aws_code=PRICE_TOO_LOW, hint="Set a time in its place: --ttl 8h")
    return price


def _seconds_for(max_cost: float, price_per_hour: float, plan: LaunchPlan) -> float:
    """Return for how long the money lasts: for the instance, its disks and its address."""
    monthly = known_part(cost.monthly_cost_usd for cost in plan.monthly_costs)
    all_per_hour = price_per_hour + monthly / HOURS_PER_MONTH
    return max_cost / all_per_hour * 3600


def tags_of(limits: Limits, now: datetime | None = None) -> dict[str, str]:
    """Return the tags by which `status` knows the limits of an instance, without asking the box."""
    tags: dict[str, str] = {}
    if limits.deadline is not None:
        deadline = (now or datetime.now(UTC)) + timedelta(seconds=limits.deadline)
        tags[TAG_DEADLINE] = deadline.isoformat(timespec="seconds")
    if limits.idle_timeout is not None:
        tags[TAG_IDLE_TIMEOUT] = f"{limits.idle_timeout:.0f}"
    return tags
