"""Results of `costs`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional, private
from .facts import Market, RegionFailure


@dataclass(frozen=True)
class CostItem:
    """Something that bills. Its costs are list prices, or the present spot price; null if they are unknown."""

    #: `instance`, `root volume`, `data volume`, `volume`, `public IPv4 address`, `snapshot` or `image`.
    item: str
    #: Its id, the address itself of an address; null for a root volume that was not found.
    id: str | None
    region: str
    #: What an hour of it costs now: nothing for an instance while it is stopped.
    price_per_hour: float | None
    #: What 730 hours of it cost. At most, for snapshots and images: they bill for the blocks that they store.
    monthly_cost_usd: float | None
    #: An estimate of what it has cost since then, at the present price; null for a stopped instance.
    estimated_cost: float | None
    since: datetime | None
    #: The principal that created it, or the box that it belongs to; null where no owner is recorded.
    owner: str | None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None
    #: The box that it belongs to.
    instance_id: str | None = optional()
    ssh_alias: str | None = optional()
    state: str | None = optional()
    instance_type: str | None = optional()
    lifecycle: Market | None = optional()
    size_gb: int | None = optional()
    #: Whether the instance of this data volume no longer exists.
    orphan: bool | None = optional()
    #: Whether it is such a volume, and meant to stay.
    kept: bool | None = optional()
    #: The id of the cluster that its box is a node of.
    cluster: str | None = optional()

    @property
    def is_upper_bound(self) -> bool:
        """Whether it costs at most this."""
        return self.item in ("snapshot", "image")


@dataclass(frozen=True)
class CostReport(Result):
    """What everything of the caller costs, with --everyone what everything of this tool costs. All are estimates."""

    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    #: What bills, box by box; left out with --sum.
    items: tuple[CostItem, ...] | None = optional()
    #: The sum of an hour of all items, disks and addresses included; null if one is unknown.
    price_per_hour: float | None = None
    #: The sum of a month of all items, instances included; null if one is unknown.
    monthly_cost_usd: float | None = None
    #: The sum of what all items have cost so far; null if one is unknown.
    estimated_cost: float | None = None
    #: What is not in the sums, since it is not the caller's.
    left_out: tuple[CostItem, ...] = ()
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
    #: All items, also with --sum.
    counted: tuple[CostItem, ...] = private(())
    #: The command that includes what was left out.
    everyone_command: str = private("")

    @property
    def has_no_answer(self) -> bool:
        """Whether no region could be read."""
        unread = len(self.regions_failed) + len(self.regions_denied)
        return bool(self.regions_failed) and unread == len(self.regions_queried)
