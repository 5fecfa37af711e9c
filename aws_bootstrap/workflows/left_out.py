"""What a command without names leaves out: what others own, with what it costs and the command that takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import output
from ..invocation import PROGRAM
from ..models import Instance, LeftOutBox, LeftOutVolume, Volume
from ..outcomes import delete_volume_command
from . import costs
from .owners import is_of_another

if TYPE_CHECKING:
    from ..app import App


def boxes(app: App, instances: Iterable[Instance], command: Callable[[Instance], str]) -> tuple[LeftOutBox, ...]:
    """Return these instances, each with its price if it is known. Warn of each, with the command that takes it."""
    left_out = list(instances)
    prices = costs.read_instance_prices(app, left_out)
    found: list[LeftOutBox] = []
    for instance in left_out:
        price_per_hour = prices.of_instance(instance)
        found.append(LeftOutBox(instance.instance_id, instance.region, instance.owner, price_per_hour))
        facts = f"{instance.instance_type} {instance.lifecycle}, {_about(price_per_hour, 'an hour')}"
        _warn(f"{instance.instance_id} ({facts})", instance, command(instance), instance.instance_id)
    return tuple(found)


def volumes(orphans: Iterable[Volume], command: str) -> tuple[LeftOutVolume, ...]:
    """Return these orphan volumes with what they cost. Warn of each, with the command that takes it."""
    found: list[LeftOutVolume] = []
    for volume in orphans:
        cost = costs.monthly_cost(volume)
        found.append(LeftOutVolume(volume.volume_id, volume.region, volume.size_gb, volume.owner, cost))
        facts = f"{volume.size_gb} GB, {_about(cost, 'a month')}"
        _warn(f"{volume.volume_id} ({facts})", volume, command, None)
    return tuple(found)


def warn_of_orphans(orphans: Iterable[Volume], caller: str | None) -> None:
    """Warn of volumes that bill, and that a cleanup without --include-ebs leaves; not of another's."""
    for volume in orphans:
        if not volume.created_by_us or volume.kept or is_of_another(volume.owner, caller):
            continue
        command = f"{PROGRAM} cleanup --include-ebs"
        if volume.owner is None:  # `cleanup --everyone` would delete those of others, too
            command = delete_volume_command(volume.volume_id, volume.region)
        facts = f"{volume.size_gb} GB, {_about(costs.monthly_cost(volume), 'a month')}"
        message = f"{volume.volume_id} ({facts}) has no instance and bills. Delete it: {command}"
        output.warn(message, code="orphan-volume", region=volume.region)


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
