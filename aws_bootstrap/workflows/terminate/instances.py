"""Terminate the instances, those of a region in one call; mark the volumes to keep before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2
from ...errors import BootstrapError
from ...models import StateChange, Volume
from ...models.facts import InstanceState
from ...parallel import run_parallel
from ..unknown import is_unknown, note_nothing
from .progress import BoxTermination, TerminateProgress, by_region, instance_ids

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def terminate_all(progress: TerminateProgress) -> None:
    """Terminate the instances of all regions in parallel."""
    in_regions = by_region(progress.boxes)
    calls = [partial(_terminate, progress, in_region) for in_region in in_regions.values()]
    run_parallel(calls)


def _terminate(progress: TerminateProgress, boxes: Sequence[BoxTermination]) -> None:
    """Terminate one region's instances. Volumes to keep are marked first, in case this process is killed.

    One call terminates all. If EC2 refuses it, each gets a call of its own, so that one protected instance does not
    keep the others running.
    """
    client = progress.app.aws.ec2(boxes[0].region)
    ready: list[BoxTermination] = []
    for termination in boxes:
        if not termination.keep_ebs or _mark_volumes_to_keep(progress, client, termination):
            ready.append(termination)
    if not ready:
        return
    ids = instance_ids(ready)
    name = f"the termination of {', '.join(ids)}"
    for termination in ready:
        termination.call = name
    try:
        progress.calls.make(
            name,
            partial(ec2.terminate_instances, client, ids),
            look=partial(_find_terminations, client, ready),
            note=partial(_note_changes, ready),
        )
    except BootstrapError as exc:
        if is_unknown(exc) or len(ready) == 1:
            _note_error(ready, exc)
        else:
            for termination in ready:
                _terminate(progress, [termination])


def _note_error(boxes: Iterable[BoxTermination], cause: BootstrapError) -> None:
    """Note the error for each of these boxes that is not known to terminate."""
    for termination in boxes:
        if not termination.change:
            termination.errors.append(cause)


def _find_terminations(client: EC2Client, boxes: Sequence[BoxTermination]) -> list[StateChange] | None:
    """Return the state changes once EC2 reports all of the boxes as ended; note those that it reports before."""
    state_before: dict[str, InstanceState] = {}
    for termination in boxes:
        state_before[termination.instance_id] = termination.box.instance.state
    changes: list[StateChange] = []
    for instance in ec2.get_instances(client, list(state_before)):
        if instance.state in ec2.ENDED:
            instance_id = instance.instance_id
            changes.append(StateChange(instance_id, state_before[instance_id], instance.state))
    _note_changes(boxes, changes)
    if len(changes) != len(boxes):
        return None
    return changes


def _note_changes(boxes: Iterable[BoxTermination], changes: Iterable[StateChange]) -> None:
    """Note the state change of each box; keep the noted one of a box that is not among them."""
    by_id = {change.instance_id: change for change in changes}
    for termination in boxes:
        termination.change = by_id.get(termination.instance_id, termination.change)


def _mark_volumes_to_keep(progress: TerminateProgress, client: EC2Client, termination: BoxTermination) -> bool:
    """Mark the box's volumes to keep. Return whether all are marked; if not, the box must not be terminated."""
    for volume in termination.box.deletable_volumes:
        try:
            progress.calls.make(
                f"the keep tag of {volume.volume_id}",
                partial(ec2.keep_ebs_volume, client, volume.volume_id),
                look=partial(_find_kept_volume, client, volume.volume_id),
                note=note_nothing,
            )
        except BootstrapError as exc:
            termination.errors.append(exc)
            return False
    return True


def _find_kept_volume(client: EC2Client, volume_id: str) -> Volume | None:
    """Return the volume once it is marked to keep."""
    volume = ec2.find_volume(client, volume_id)
    if volume is None or not volume.kept:
        return None
    return volume
