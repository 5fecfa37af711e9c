"""When a box ends by itself, and what it leaves, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ..models import MonthlyCost
from ..models.cost import total
from .costs import a_month
from .text import span, usd

#: Where no limit is set.
NEVER = "never by itself"


def ends(deadline: datetime | None, seconds_left: float | None, idle_timeout_seconds: int | None) -> str | None:
    """Return when the box ends by itself; None where nothing ends it."""
    conditions: list[str] = []
    if deadline:
        conditions.append(f"at {deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC{_from_now(seconds_left)}")
    if idle_timeout_seconds:
        conditions.append(f"after {span(idle_timeout_seconds)} without work")
    return ", or ".join(conditions) or None


def planned_end(
    ttl_seconds: int | None, idle_timeout_seconds: int | None, max_cost: float | None, *, of_cluster: bool = False
) -> str:
    """Return when a box that is yet to be launched will end by itself, or the nodes of a cluster."""
    without_work = " without work on any node" if of_cluster else " without work"
    cost = "when all have cost" if of_cluster else "when it has cost"
    limits: list[str] = []
    if ttl_seconds:
        limits.append(f"after {span(ttl_seconds)}")
    if idle_timeout_seconds:
        limits.append(f"after {span(idle_timeout_seconds)}{without_work}")
    if max_cost:
        limits.append(f"{cost} {usd(max_cost)}")
    return ", or ".join(limits) or f"{NEVER}: --ttl, --idle-timeout or --max-cost set a limit"


def _from_now(seconds_left: float | None) -> str:
    if seconds_left is None:
        return ""
    if seconds_left <= 0:
        return ", now"
    return f", in {span(seconds_left)}"


def what_stays(volume_ids: Iterable[str], costs: Iterable[MonthlyCost]) -> str:
    """Return what becomes of the data volumes when their box ends, with their part of its monthly costs."""
    of_data: list[float | None] = []
    for cost in costs:
        if cost.item == "data volume":
            of_data.append(cost.monthly_cost_usd)
    return f"{', '.join(volume_ids)} stays, and bills {a_month(total(of_data, digits=2))}"
