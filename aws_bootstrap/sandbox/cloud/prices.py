"""Spot prices: for each type and zone a price that changes a few times a day, the same for every caller.

Pure: the price at a moment is a function of the type, the zone and the moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import catalog

CHANGE_EVERY = timedelta(hours=6)
#: EC2 keeps 90 days: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-history.html
HISTORY = timedelta(days=90)
PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SpotPrice:
    """A price, and since when it is in effect."""

    instance_type: str
    zone: str
    price: float
    since: datetime


def _noise(*words: object) -> float:
    """Return a number from 0 to 1 that depends only on the words."""
    digest = hashlib.sha256(" ".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:4]) / 0xFFFFFFFF


def price_of_period(instance_type: str, zone: str, period: int) -> float:
    """Return USD per hour in the n-th period: 25 to 45 % of on demand by zone, moving by up to 6 %."""
    base = catalog.on_demand_price(instance_type, zone[:-1])
    level = 0.25 + 0.20 * _noise(instance_type, zone)
    return round(base * level * (0.97 + 0.06 * _noise(instance_type, zone, period)), 6)


def _change(instance_type: str, zone: str, period: int) -> datetime:
    """Return when the n-th period begins in this zone: zones do not change at the same minute."""
    return _EPOCH + period * CHANGE_EVERY + timedelta(minutes=int(300 * _noise("at", instance_type, zone, period)))


def current(instance_type: str, zone: str, now: datetime) -> SpotPrice:
    """Return the price in effect at that moment."""
    return next(history(instance_type, zone, now, now))


def history(instance_type: str, zone: str, start: datetime, end: datetime) -> Iterator[SpotPrice]:
    """Yield the prices in effect between the two moments, newest first; the last began at or before `start`."""
    period = int((end - _EPOCH) / CHANGE_EVERY)
    while True:
        since = _change(instance_type, zone, period)
        if since <= end:
            yield SpotPrice(instance_type, zone, price_of_period(instance_type, zone, period), since)
        if since <= start or end - since > HISTORY:
            return
        period -= 1
