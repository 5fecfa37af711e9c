"""What each thing that bills costs: an hour, a month, and so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..models import CostItem, ImageSnapshot, Instance, OwnImage, Prices, Snapshot, Volume
from ..models import cost as money
from .box import Box
from .owners import is_yours

#: What has a region and an owner.
type Owned = Instance | Volume | Snapshot | OwnImage


@dataclass(frozen=True)
class Pricing:
    """The prices, and who calls when."""

    prices: Prices
    #: None if it is unknown who calls.
    caller: str | None
    now: datetime

    def of_box(self, box: Box, roots: Sequence[Volume]) -> list[CostItem]:
        """Return the box's instance, its disks and its address, all with the owner of the box."""
        instance = box.instance
        items = [self._of_instance(instance)]
        if not roots:
            items.append(self._by_month("root volume", None, instance, None, None))
        for root in roots:
            items.append(self._of_disk("root volume", root))
        for volume in box.volumes:
            items.append(self._of_disk("data volume", volume))
        if instance.public_ip:
            address = money.public_address()
            since = instance.launch_time
            items.append(self._by_month(address.item, instance.public_ip, instance, address.monthly_cost_usd, since))
        yours = is_yours(instance.owner, self.caller)
        of_box: list[CostItem] = []
        for item in items:
            named = replace(item, instance_id=box.instance_id, ssh_alias=box.alias, cluster=instance.cluster)
            of_box.append(replace(named, owner=instance.owner, yours=yours))
        return of_box

    def _of_instance(self, instance: Instance) -> CostItem:
        price = self.prices.of_instance(instance)
        cost = money.a_month_of(price)
        uptime = money.uptime_seconds(instance, self.now)
        return replace(
            self._by_month("instance", instance.instance_id, instance, cost, instance.launch_time),
            price_per_hour=price,
            estimated_cost=money.cost_so_far(price, uptime, instance.state),
            state=instance.state,
            instance_type=instance.instance_type,
            lifecycle=instance.lifecycle,
        )

    def of_volume(self, volume: Volume, *, is_orphan: bool) -> CostItem:
        """Return a volume that belongs to no box, with its own owner."""
        if volume.instance_id is None:
            return self._of_disk("volume", volume)
        item = self._of_disk("data volume", volume)
        if not is_orphan:
            return item
        return replace(item, orphan=True, kept=volume.kept or None)

    def _of_disk(self, item: str, volume: Volume) -> CostItem:
        cost = money.volume_cost(volume.size_gb, volume.volume_type)
        disk = self._by_month(item, volume.volume_id, volume, cost, volume.created)
        return replace(disk, state=volume.state, size_gb=volume.size_gb)

    def of_images(self, images: Iterable[OwnImage], snapshots: Iterable[Snapshot]) -> list[CostItem]:
        """Return the images of one region, and the snapshots that are behind none of them: a snapshot bills once."""
        by_id = {snapshot.snapshot_id: snapshot for snapshot in snapshots}
        counted: set[str] = set()
        items: list[CostItem] = []
        for image in images:
            behind = [one for one in image.snapshots if one.snapshot_id not in counted]
            counted |= {one.snapshot_id for one in behind}
            items.append(self._of_image(image, behind, by_id))
        for snapshot in by_id.values():
            if snapshot.snapshot_id not in counted:
                items.append(self._of_snapshot(snapshot))
        return items

    def _of_image(self, image: OwnImage, behind: Iterable[ImageSnapshot], by_id: dict[str, Snapshot]) -> CostItem:
        """Return an image with the cost of these snapshots; unknown if it names none, as while it is created."""
        size_gb = 0
        costs: list[float | None] = []
        for one in behind:
            snapshot = by_id.get(one.snapshot_id)
            size_gb += snapshot.size_gb if snapshot else one.size_gb
            costs.append(_cost_behind(one, snapshot))
        cost = money.total(costs, digits=2) if image.snapshots else None
        item = self._by_month("image", image.image_id, image, cost, image.created)
        return replace(item, state=image.state, size_gb=size_gb)

    def _of_snapshot(self, snapshot: Snapshot) -> CostItem:
        cost = money.snapshot_cost(snapshot.size_gb, snapshot.tier)
        item = self._by_month("snapshot", snapshot.snapshot_id, snapshot, cost, snapshot.created)
        return replace(item, state=snapshot.state, size_gb=snapshot.size_gb)

    def _by_month(
        self, item: str, resource_id: str | None, found: Owned, cost: float | None, since: datetime | None
    ) -> CostItem:
        """Return what bills by the month, with the owner that it has itself."""
        return CostItem(
            item=item,
            id=resource_id,
            region=found.region,
            price_per_hour=money.an_hour_of(cost),
            monthly_cost_usd=cost,
            estimated_cost=money.cost_since(cost, since, self.now),
            since=since,
            owner=found.owner,
            yours=is_yours(found.owner, self.caller),
        )


def _cost_behind(behind: ImageSnapshot, snapshot: Snapshot | None) -> float | None:
    """Return what a snapshot behind an image costs; without this tool's tag, by the size that the image names."""
    if snapshot is None:
        return money.snapshot_cost(behind.size_gb)
    return money.snapshot_cost(snapshot.size_gb, snapshot.tier)


def unknown_costs(item: CostItem) -> str | None:
    """Return a sentence on what is unknown of the item's costs, and why; None if nothing is."""
    name = item.ssh_alias or item.instance_id or item.id
    if item.price_per_hour is None:
        return _unknown_price(item, f"{name}")
    if item.estimated_cost is not None:
        return None
    what = f"What {name} has cost so far is unknown"
    if item.item != "instance":
        what = f"What the {item.item} {item.id} has cost so far is unknown"
    if item.state in money.UNBILLED_STATES:
        return f"{what}: EC2 does not report for how long a {item.state} instance ran."
    return f"{what}: EC2 did not report when it began."


def _unknown_price(item: CostItem, name: str) -> str:
    """Return the sentence on an unknown price."""
    if item.item == "instance":
        return f"The {item.lifecycle} price of {name} is unknown, and so is its cost."
    if item.id is None:
        return f"The {item.item} of {name} was not found, so what it costs a month is unknown."
    reason = "its type has no list price by size"
    if not item.size_gb:
        reason = "EC2 reported no size"
    return f"What the {item.item} {item.id} costs a month is unknown: {reason}."
