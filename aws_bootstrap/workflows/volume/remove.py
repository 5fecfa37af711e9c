"""Delete volumes and snapshots that are named: only what this tool created, and none that a box has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import RemovedDisk, RemoveReport, Resource, Snapshot, Volume
from ...models.cost import snapshot_cost, volume_cost
from ...parallel import run_parallel
from ..unknown import Calls
from . import find

if TYPE_CHECKING:
    from ...app import App

_NOT_DONE = "The command stopped before it was deleted."
_UNKNOWN = "It is unknown whether it was deleted."


def plan(app: App, names: Sequence[str]) -> tuple[RemovedDisk, ...]:
    """Return the volumes and snapshots with these ids. BootstrapError for one that may not be deleted."""
    calls: list[Callable[[], RemovedDisk]] = []
    for name in dict.fromkeys(names):
        if name.startswith("snap-"):
            calls.append(partial(_snapshot_to_delete, app, name))
        else:
            calls.append(partial(_volume_to_delete, app, name))
    return tuple(run_parallel(calls))


def _volume_to_delete(app: App, volume_id: str) -> RemovedDisk:
    volume: Volume = find.volume(app, volume_id).volume
    _check_created_by_us(volume_id, volume.created_by_us)
    if volume.attached_to:
        raise BootstrapError(
            f"{volume_id} is attached to {volume.attached_to}.",
            hint=f"End its box, which deletes it too unless it is kept: {PROGRAM} terminate {volume.attached_to}",
            code="volume-in-use",
        )
    cost = volume_cost(volume.size_gb, volume.volume_type)
    return RemovedDisk("volume", volume_id, volume.region, volume.size_gb, cost, deleted=False)


def _snapshot_to_delete(app: App, snapshot_id: str) -> RemovedDisk:
    snapshot: Snapshot = find.snapshot(app, snapshot_id)
    _check_created_by_us(snapshot_id, snapshot.created_by_us)
    cost = snapshot_cost(snapshot.size_gb, snapshot.tier)
    return RemovedDisk("snapshot", snapshot_id, snapshot.region, snapshot.size_gb, cost, deleted=False)


def _check_created_by_us(name: str, created_by_us: bool) -> None:
    """Raise BootstrapError for what this tool did not create."""
    if not created_by_us:
        raise BootstrapError(
            f"{name} was not created by this tool, which deletes only what it created.",
            hint=f"List what it created: {PROGRAM} volume ls",
            code="not-created-by-us",
        )


def apply(app: App, planned: Sequence[RemovedDisk]) -> RemoveReport:
    """Delete them in parallel. The report says of each whether it is deleted, or why not."""
    calls = Calls(app.lookup_seconds)
    outcomes: dict[str, RemovedDisk] = {}
    deletions = [partial(_delete, app, calls, outcomes, one) for one in planned]
    try:
        run_parallel(deletions)
    except KeyboardInterrupt as exc:
        calls.settle()
        report = _report(calls, planned, outcomes)
        left = tuple(Resource(one.type, one.id, one.region, billing=True) for one in report.removed if not one.deleted)
        raise Interrupted.of(exc).add_details(resources=left).attach_result(report) from exc
    return _report(calls, planned, outcomes)


def _report(calls: Calls, planned: Sequence[RemovedDisk], outcomes: dict[str, RemovedDisk]) -> RemoveReport:
    """Return what is known of each by now."""
    removed: list[RemovedDisk] = []
    for one in planned:
        reason = _UNKNOWN if _name(one) in calls.unknown else _NOT_DONE
        removed.append(outcomes.get(one.id, replace(one, error=reason)))
    return RemoveReport(tuple(removed))


def _delete(app: App, calls: Calls, outcomes: dict[str, RemovedDisk], one: RemovedDisk) -> None:
    """Delete one, and note the outcome."""
    client = app.aws.ec2(one.region)
    delete = partial(ec2.delete_ebs_volume, client, one.id)
    look = partial(ec2.find_deletion, client, one.id)
    if one.type == "snapshot":
        delete = partial(ec2.delete_snapshot, client, one.id)
        look = partial(ec2.find_snapshot_deletion, client, one.id)

    def note(_: object) -> None:
        outcomes[one.id] = replace(one, deleted=True)

    output.info(f"Deleting {one.id} ({one.size_gb} GB)")
    try:
        calls.make(_name(one), delete, look=look, note=note)
    except BootstrapError as exc:
        reason = str(exc)
        if _name(one) in calls.unknown:
            reason = f"{reason} {_UNKNOWN}"
        outcomes[one.id] = replace(one, error=reason)


def _name(one: RemovedDisk) -> str:
    """Return the name of its deletion."""
    return f"the deletion of {one.id}"
