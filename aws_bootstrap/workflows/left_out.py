"""What a command without names leaves out: what others own, with what it costs and the command that takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import ec2, output
from ..aws import PRICING_REGION, without_waiting
from ..config import GP3_USD_PER_GB_MONTH
from ..errors import BootstrapError
from ..models import Instance, LeftOutBox, LeftOutVolume, Volume
from ..parallel import map_parallel

if TYPE_CHECKING:
    from ..app import App


def boxes(app: App, instances: Iterable[Instance], command: Callable[[Instance], str]) -> tuple[LeftOutBox, ...]:
    """Return these instances, each with its price if it is known. Warn of each, with the command that takes it."""
    left_out = list(instances)

    def price(instance: Instance) -> float | None:
        return _price(app, instance)

    found: list[LeftOutBox] = []
    for instance, price_per_hour in zip(left_out, map_parallel(price, left_out), strict=True):
        found.append(LeftOutBox(instance.instance_id, instance.region, instance.owner, price_per_hour))
        facts = f"{instance.instance_type} {instance.lifecycle}, {_about(price_per_hour, 'an hour')}"
        _warn(f"{instance.instance_id} ({facts})", instance, command(instance), instance.instance_id)
    return tuple(found)


def volumes(orphans: Iterable[Volume], command: str) -> tuple[LeftOutVolume, ...]:
    """Return these orphan volumes with what they cost. Warn of each, with the command that takes it."""
    found: list[LeftOutVolume] = []
    for volume in orphans:
        cost = round(volume.size_gb * GP3_USD_PER_GB_MONTH, 2)
        found.append(LeftOutVolume(volume.volume_id, volume.region, volume.size_gb, volume.owner, cost))
        facts = f"{volume.size_gb} GB, {_about(cost, 'a month')}"
        _warn(f"{volume.volume_id} ({facts})", volume, command, None)
    return tuple(found)


def _warn(what: str, found: Instance | Volume, command: str, instance_id: str | None) -> None:
    """Warn of one box or volume that is left out."""
    owner = "no owner is recorded"
    if found.owner:
        owner = f"its owner is {found.owner}"
    message = f"Left out {what} in {found.region}: {owner}. To include it: {command}"
    output.warn(message, code="not-yours", instance_id=instance_id, region=found.region)


def _about(price: float | None, unit: str) -> str:
    """Return the price as a person reads it."""
    if price is None:
        return "price unknown"
    return f"about ${price:.2f} {unit}"


def _price(app: App, instance: Instance) -> float | None:
    """Return what the instance costs an hour in USD; None if that cannot be read, or if it does not run."""
    if instance.state not in ("pending", "running"):
        return None
    try:
        if instance.lifecycle == "spot":
            return _spot_price(app, instance)
        return without_waiting(
            PRICING_REGION,
            lambda _: ec2.on_demand_price(app.aws.pricing(), instance.region, instance.instance_type),
        )
    except BootstrapError:
        return None


def _spot_price(app: App, instance: Instance) -> float | None:
    """Return the current spot price of the instance's type in its zone."""

    def read(region: str) -> float | None:
        prices = ec2.spot_prices(app.aws.ec2(region), [instance.instance_type])
        price = prices.get((instance.instance_type, instance.availability_zone))
        if price is None:
            return None
        return price.price

    return without_waiting(instance.region, read)
