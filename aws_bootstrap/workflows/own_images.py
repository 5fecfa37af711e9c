"""The images that this tool baked: list those of all regions, and remove some with their snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, output
from ..aws import each_region
from ..errors import BootstrapError, Interrupted
from ..invocation import PROGRAM
from ..models import ImageRemoval, ImageRemovals, OwnImage, OwnImageList, OwnImageRow, RegionFailure, Resource, Snapshot
from ..models.cost import snapshot_cost, total
from ..models.image import Freshness
from ..parallel import gather, run_parallel
from .inventory import regions_to_read
from .owners import find_owner, is_yours
from .provision import resources_version
from .unknown import Calls

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class _InRegion:
    """The images of one region, and the snapshots that this tool created there."""

    images: tuple[OwnImage, ...]
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class _Found:
    """What was read of some regions."""

    regions: tuple[str, ...]
    by_region: dict[str, _InRegion]
    failed: tuple[RegionFailure, ...]
    denied: tuple[RegionFailure, ...]
    caller: str | None

    def rows(self) -> list[OwnImageRow]:
        """Return the images, newest first."""
        current = resources_version()
        rows: list[OwnImageRow] = []
        for in_region in self.by_region.values():
            sizes = {one.snapshot_id: one for one in in_region.snapshots}
            for image in in_region.images:
                rows.append(_row(image, sizes, self.caller, current))
        return sorted(rows, key=_created, reverse=True)


def _created(row: OwnImageRow) -> str:
    return row.created.isoformat() if row.created else ""


def _row(image: OwnImage, snapshots: dict[str, Snapshot], caller: str | None, current: str) -> OwnImageRow:
    size_gb = 0
    costs: list[float | None] = []
    for behind in image.snapshots:
        own = snapshots.get(behind.snapshot_id)
        size_gb += behind.size_gb
        costs.append(snapshot_cost(behind.size_gb, own.tier if own else "standard"))
    return OwnImageRow(
        image_id=image.image_id,
        name=image.name,
        region=image.region,
        state=image.state,
        created=image.created,
        size_gb=size_gb,
        monthly_cost_usd=total(costs, digits=2) if costs else None,
        snapshot_ids=tuple(one.snapshot_id for one in image.snapshots),
        source=image.source,
        setup_files=freshness(image.resources, current),
        setup=image.setup,
        owner=image.owner,
        yours=is_yours(image.owner, caller),
    )


def freshness(resources: str | None, current: str) -> Freshness:
    """Return whether the setup's files on an image are those of this program."""
    if resources is None:
        return "unknown"
    return "current" if resources == current else "other"


def _read(app: App, regions: Sequence[str]) -> _Found:
    """Return the images of these regions, else of all. BootstrapError if no region could be read."""
    names = regions_to_read(app, regions)

    def read_one(region: str) -> _InRegion:
        client = app.aws.ec2(region)
        images, snapshots = gather(partial(ec2.find_own_images, client), partial(ec2.find_snapshots, client))
        return _InRegion(tuple(images), tuple(snapshots))

    (found, failures), caller = gather(partial(each_region, names, read_one), partial(find_owner, app))
    failed: list[RegionFailure] = []
    denied: list[RegionFailure] = []
    for failure in failures:
        if failure.is_denied and not regions:
            denied.append(failure)
        else:
            failed.append(failure)
    return _Found(names, dict(found), tuple(failed), tuple(denied), caller)


def read_list(app: App, regions: Sequence[str]) -> OwnImageList:
    """Return the images of these regions, else of all enabled ones, with what they cost a month."""
    found = _read(app, regions)
    rows = found.rows()
    cost = None
    if not found.failed:
        cost = total([row.monthly_cost_usd for row in rows if row.yours is not False], digits=2)
    return OwnImageList(tuple(rows), found.regions, found.failed, found.denied, cost)


# --- removal ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlannedRemoval:
    """The images to remove, and the snapshots behind them that this tool created."""

    rows: tuple[OwnImageRow, ...]
    own_snapshots: frozenset[str]


def plan_removal(app: App, names: Sequence[str], regions: Sequence[str]) -> PlannedRemoval:
    """Return the images of these names and ids. Changes nothing.

    BootstrapError `not-found` unless each is found, `region-failed` where a region that could not be read may have it.
    """
    found = _read(app, regions)
    rows = found.rows()
    chosen: list[OwnImageRow] = []
    for name in dict.fromkeys(names):
        matching = [row for row in rows if name in (row.image_id, row.name)]
        if not matching:
            raise _not_found(name, found.failed)
        chosen += [row for row in matching if row not in chosen]
    snapshots: set[str] = set()
    for in_region in found.by_region.values():
        snapshots |= {one.snapshot_id for one in in_region.snapshots}
    return PlannedRemoval(tuple(chosen), frozenset(snapshots))


def _not_found(name: str, failed: Iterable[RegionFailure]) -> BootstrapError:
    unread = ", ".join(failure.region for failure in failed)
    if unread:
        return BootstrapError(
            f"{name} was not found, and {unread} could not be read.",
            hint="Run the command again.",
            code="region-failed",
        )
    return BootstrapError(
        f"This tool has baked no image {name}.", hint=f"List them: {PROGRAM} image ls", code="not-found"
    )


@dataclass
class _Removal:
    """The removal of the images, as far as it is done."""

    app: App
    planned: PlannedRemoval
    calls: Calls
    done: dict[str, ImageRemoval] = field(default_factory=dict)

    def report(self) -> ImageRemovals:
        """Return what was done so far."""
        removals = [self.done[row.image_id] for row in self.planned.rows if row.image_id in self.done]
        return ImageRemovals(tuple(removals))

    def remove(self, row: OwnImageRow) -> None:
        """Deregister one image, delete its snapshots, and note the outcome."""
        client = self.app.aws.ec2(row.region)
        self.done[row.image_id] = ImageRemoval(row.image_id, row.name, row.region, deregistered=False)
        output.info(f"Removing {row.image_id} ({row.name})")
        try:
            self.calls.make(
                f"the deregistration of {row.image_id}",
                partial(ec2.deregister_image, client, row.image_id),
                look=partial(ec2.find_deregistration, client, row.image_id),
                note=partial(self._note_deregistered, row.image_id),
            )
            for snapshot_id in row.snapshot_ids:
                if snapshot_id in self.planned.own_snapshots:
                    self._delete_snapshot(row, snapshot_id)
        except BootstrapError as exc:
            self.done[row.image_id] = replace(self.done[row.image_id], error=f"{exc}{_left(row, self.done)}")

    def _note_deregistered(self, image_id: str, _: object) -> None:
        self.done[image_id] = replace(self.done[image_id], deregistered=True)

    def _delete_snapshot(self, row: OwnImageRow, snapshot_id: str) -> None:
        client = self.app.aws.ec2(row.region)

        def note(_: object) -> None:
            before = self.done[row.image_id]
            self.done[row.image_id] = replace(before, snapshots_deleted=(*before.snapshots_deleted, snapshot_id))

        self.calls.make(
            f"the deletion of {snapshot_id}",
            partial(ec2.delete_snapshot, client, snapshot_id),
            look=partial(ec2.find_snapshot_deletion, client, snapshot_id),
            note=note,
        )


def _left(row: OwnImageRow, done: dict[str, ImageRemoval]) -> str:
    """Return the command for a snapshot that still bills though its image is deregistered."""
    removal = done[row.image_id]
    left = [snapshot_id for snapshot_id in row.snapshot_ids if snapshot_id not in removal.snapshots_deleted]
    if not removal.deregistered or not left:
        return ""
    return f" Its snapshot still bills. Delete it: {PROGRAM} volume rm {' '.join(left)}"


def remove(app: App, planned: PlannedRemoval) -> ImageRemovals:
    """Remove the images at the same time. An interrupt carries the report of what was done until then."""
    removal = _Removal(app, planned, Calls(app.lookup_seconds))
    calls: list[Callable[[], None]] = [partial(removal.remove, row) for row in planned.rows]
    try:
        run_parallel(calls)
    except KeyboardInterrupt as exc:
        removal.calls.settle()
        error = Interrupted.of(exc, hint=f"Show what remains: {PROGRAM} image ls")
        raise error.add_details(resources=_remaining(planned, removal)).attach_result(removal.report()) from exc
    return removal.report()


def _remaining(planned: PlannedRemoval, removal: _Removal) -> tuple[Resource, ...]:
    """Return the images that are not known to be deregistered, and the snapshots of those that are."""
    remaining: list[Resource] = []
    for row in planned.rows:
        done = removal.done.get(row.image_id)
        if done is None or not done.deregistered:
            remaining.append(Resource("image", row.image_id, row.region, billing=True))
            continue
        for snapshot_id in row.snapshot_ids:
            if snapshot_id in planned.own_snapshots and snapshot_id not in done.snapshots_deleted:
                remaining.append(Resource("snapshot", snapshot_id, row.region, billing=True))
    return tuple(remaining)
