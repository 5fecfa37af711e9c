"""Delete the data volumes of terminated boxes, each once it is detached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError
from ...models import Volume
from ...parallel import run_parallel
from .progress import BoxTermination, TerminateProgress, by_region

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def delete_all_volumes(progress: TerminateProgress) -> None:
    """Delete the volumes of the terminated boxes, those of all regions in parallel."""
    in_regions = by_region(progress.terminated)
    calls = [partial(_delete_volumes, progress, in_region) for in_region in in_regions.values()]
    run_parallel(calls)


def _delete_volumes(progress: TerminateProgress, boxes: Sequence[BoxTermination]) -> None:
    """Delete one region's volumes, each once it is detached."""
    client = progress.app.aws.ec2(boxes[0].region)
    box_by_volume: dict[str, BoxTermination] = {}
    holders: dict[str, str] = {}
    for termination in boxes:
        volumes = termination.undeleted_volumes
        _report_waiting(volumes)
        for volume in volumes:
            box_by_volume[volume.volume_id] = termination
            holders[volume.volume_id] = termination.instance_id
    for settled in ec2.wait_detached(client, holders):
        deletions: list[Callable[[], None]] = []
        for volume_id, error in settled.items():
            if error:
                box_by_volume[volume_id].errors.append(error)
            else:
                deletions.append(partial(_delete, progress, client, box_by_volume[volume_id], volume_id))
        run_parallel(deletions)


def _delete(progress: TerminateProgress, client: EC2Client, termination: BoxTermination, volume_id: str) -> None:
    try:
        progress.calls.make(
            f"the deletion of {volume_id}",
            partial(ec2.delete_ebs_volume, client, volume_id),
            look=partial(ec2.find_deletion, client, volume_id),
            note=partial(_note_deletion, termination, volume_id),
        )
    except BootstrapError as exc:
        termination.errors.append(exc)


def _note_deletion(termination: BoxTermination, volume_id: str, _: object) -> None:
    termination.deleted.append(volume_id)


def _report_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")
