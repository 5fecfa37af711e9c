"""Find everything that bills in the regions named, or in all regions, and what it costs. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, output, parallel
from ..errors import BootstrapError
from ..invocation import PROGRAM
from ..models import CostItem, CostReport, Instance, OwnImage, Snapshot, Volume
from ..models import cost as money
from ..outcomes import failed_regions
from . import costs
from .cost_items import Pricing, unknown_costs
from .inventory import Inventory, managed_hosts, read_with
from .owners import find_owner

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App


@dataclass(frozen=True)
class CostOptions:
    """The options of `costs`."""

    #: All enabled regions if there are none.
    regions: tuple[str, ...] = ()
    #: Include what others own.
    everyone: bool = False
    #: Report the sums alone.
    sums: bool = False

    @property
    def everyone_command(self) -> str:
        """Return the same command for what everybody owns."""
        flags = ""
        for region in self.regions:
            flags += f" --region {region}"
        if self.sums:
            flags += " --sum"
        return f"{PROGRAM} costs{flags} --everyone"


@dataclass(frozen=True)
class _MoreThatBills:
    """What bills in one region besides instances and data volumes."""

    #: The volumes that are no data volumes: the instances' root volumes, and those that were detached.
    volumes: tuple[Volume, ...]
    snapshots: tuple[Snapshot, ...]
    images: tuple[OwnImage, ...]


def gather(app: App, options: CostOptions) -> CostReport:
    """Return what bills, with what it costs an hour and a month, and has cost so far."""
    hosts = managed_hosts(app)
    try:
        (inventory, more_by_region), caller = parallel.gather(
            partial(read_with, _read_all, app, options.regions, hosts=hosts), partial(find_owner, app)
        )
    except BootstrapError as exc:
        failed = failed_regions(exc, options.regions)
        if failed:
            exc.attach_result(CostReport(tuple(one.region for one in failed), failed))
        raise
    prices = costs.read_instance_prices(app, [box.instance for box in inventory.boxes])
    pricing = Pricing(prices, caller, datetime.now(UTC))
    counted: list[CostItem] = []
    left_out: list[CostItem] = []
    for item in _items(pricing, inventory, more_by_region):
        if options.everyone or item.yours is not False:
            counted.append(item)
        else:
            left_out.append(item)
    _warn_of_unknown_costs([*counted, *left_out])
    _warn_if_caller_unknown(counted, options)
    _warn_of_left_out(left_out, options)
    return _report(inventory, options, tuple(counted), tuple(left_out))


def _read_all(client: EC2Client, instance_ids: Sequence[str]) -> tuple[list[Instance], list[Volume], _MoreThatBills]:
    """Return everything of this tool that bills in one region, all of it read at the same time."""
    instances, (data, volumes), snapshots, images = parallel.gather(
        partial(ec2.find_instances, client),
        partial(ec2.find_volumes_and_roots, client),
        partial(ec2.find_snapshots, client),
        partial(ec2.find_own_images, client),
    )
    return instances, data, _MoreThatBills(tuple(volumes), tuple(snapshots), tuple(images))


def _items(pricing: Pricing, inventory: Inventory, more_by_region: Mapping[str, _MoreThatBills]) -> list[CostItem]:
    """Return what bills: the boxes one by one, then other volumes, images and snapshots, each once."""
    items: list[CostItem] = []
    of_boxes: set[str] = set()
    others: list[Volume] = []
    for more in more_by_region.values():
        others += more.volumes
    by_holder: dict[str | None, list[Volume]] = {}
    for volume in others:
        by_holder.setdefault(volume.attached_to, []).append(volume)
    for box in inventory.boxes:
        roots = by_holder.get(box.instance_id, [])
        items += pricing.of_box(box, roots)
        of_boxes |= {volume.volume_id for volume in (*roots, *box.volumes)}
    orphans = {volume.volume_id for volume in inventory.orphans()}
    for volume in (*inventory.volumes, *others):
        if volume.volume_id not in of_boxes:
            items.append(pricing.of_volume(volume, is_orphan=volume.volume_id in orphans))
    for more in more_by_region.values():
        items += pricing.of_images(more.images, more.snapshots)
    return items


def _report(
    inventory: Inventory, options: CostOptions, counted: tuple[CostItem, ...], left_out: tuple[CostItem, ...]
) -> CostReport:
    """Return the report; without sums where not every region could be read."""
    report = CostReport(
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        items=None if options.sums else counted,
        left_out=left_out,
        regions_denied=inventory.denied,
        counted=counted,
        everyone_command=options.everyone_command,
    )
    if inventory.failed:
        return report
    return replace(
        report,
        price_per_hour=money.total([item.price_per_hour for item in counted]),
        monthly_cost_usd=money.total([item.monthly_cost_usd for item in counted], digits=2),
        estimated_cost=money.total([item.estimated_cost for item in counted], digits=4),
    )


def _warn_of_unknown_costs(items: Sequence[CostItem]) -> None:
    """Warn of each item of which a cost is unknown: it is missing, not zero."""
    for item in items:
        message = unknown_costs(item)
        if message:
            output.warn(message, code="price-unknown", instance_id=item.instance_id, region=item.region)


def _warn_if_caller_unknown(items: Sequence[CostItem], options: CostOptions) -> None:
    """Warn if the sums may have what others own."""
    if not options.everyone and any(item.yours is None for item in items):
        message = "It is unknown what is yours, since STS does not say who you are. What others own is included."
        output.warn(message, code="owner-unknown")


def _warn_of_left_out(items: Sequence[CostItem], options: CostOptions) -> None:
    """Warn once of what is not the caller's, with what it costs and the command that includes it."""
    if not items:
        return
    what = f"{len(items)} items that others own, or that have no owner"
    if len(items) == 1:
        what = "1 item that another owns, or that has no owner"
    monthly = money.total([item.monthly_cost_usd for item in items], digits=2)
    about = "price unknown"
    if monthly is not None:
        about = f"about ${monthly:.2f} a month"
    message = f"Left out {what} ({about}). To include everything: {options.everyone_command}"
    output.warn(message, code="not-yours")
