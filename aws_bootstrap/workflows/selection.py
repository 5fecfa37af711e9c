"""Select the boxes to terminate: those that are named, else the caller's of one region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ..errors import BootstrapError
from ..invocation import PROGRAM
from ..models import Instance, LeftOutBox, TerminationTarget
from ..models.cost import cost_so_far, uptime_seconds
from ..parallel import gather
from ..sshconfig import Host
from . import costs, left_out
from .box import Box
from .inventory import managed_hosts, read, select
from .owners import get_owner

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Targets:
    """The boxes to terminate, and the boxes of the region that are not the caller's."""

    boxes: tuple[Box, ...]
    left_out: tuple[LeftOutBox, ...] = ()


def find_targets(app: App, names: Sequence[str], region: str | None, *, everyone: bool = False) -> Targets:
    """Return the boxes named by alias or id, in any region; the caller's boxes of the region if none is named.

    With `everyone`, all boxes of the region. A box that is already terminated may be named, since its volumes may
    remain. BootstrapError `owner-unknown` if it is unknown which boxes are the caller's.
    """
    if names:
        regions: list[str] = []
        if region:
            regions.append(region)
        return Targets(select(app, names, regions, ended=True))
    read_boxes = partial(read, app, (region or app.aws.region,), hosts=_readable_hosts(app))
    if everyone:
        return Targets(_not_ended(read_boxes().boxes))
    inventory, owner = gather(read_boxes, partial(get_owner, app))
    own: list[Box] = []
    others: list[Instance] = []
    for box in _not_ended(inventory.boxes):
        if box.instance.owner == owner:
            own.append(box)
        else:
            others.append(box.instance)
    return Targets(tuple(own), left_out.boxes(app, others, _terminate_command))


def _readable_hosts(app: App) -> Sequence[Host]:
    """Return the hosts of the SSH config, for the aliases in the question.

    None if it cannot be read: that must not keep a box running.
    """
    try:
        return managed_hosts(app)
    except BootstrapError:
        return ()


def _not_ended(boxes: Iterable[Box]) -> tuple[Box, ...]:
    return tuple(box for box in boxes if not box.has_ended)


def _terminate_command(instance: Instance) -> str:
    return f"{PROGRAM} terminate {instance.instance_id} --region {instance.region}"


def to_confirm(app: App, targets: Targets, *, keep_ebs: bool) -> tuple[TerminationTarget, ...]:
    """Return the boxes, each with its cost, and with the volumes that are deleted with it."""
    prices = costs.read_instance_prices(app, [target.instance for target in targets.boxes])
    now = datetime.now(UTC)
    found: list[TerminationTarget] = []
    for target in targets.boxes:
        volumes = () if keep_ebs else tuple(target.deletable_volumes)
        uptime = uptime_seconds(target.instance, now)
        price = prices.of_instance(target.instance)
        so_far = cost_so_far(price, uptime, target.instance.state)
        found.append(TerminationTarget(target.instance, target.alias, volumes, uptime, price, so_far))
    return tuple(found)
