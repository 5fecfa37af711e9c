"""Create a snapshot of a data volume: how its data comes to another zone, region or time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError, IncompleteError, Interrupted
from ...invocation import PROGRAM
from ...models import Snapshot, SnapshotReport
from ...models.cost import snapshot_cost
from ...ssh import quoted, wrapped
from ..unknown import Calls
from . import find
from .find import FoundVolume

if TYPE_CHECKING:
    from ...app import App

_FLUSH_SECONDS = 120.0


def apply(app: App, name: str) -> SnapshotReport:
    """Create a snapshot of the volume with that id, or of that box. Return it: EC2 stores it in the background.

    What a running box has written is flushed to the disk first; a warning says where that was not possible.
    """
    found = find.volume(app, name)
    _flush(app, found)
    client = app.aws.ec2(found.volume.region)
    client_once = app.aws.ec2_once(found.volume.region)
    unique = find.unique_name("snapshot")
    description = f"{found.volume.volume_id} of {name}"
    calls = Calls(app.lookup_seconds)
    noted: list[Snapshot] = []
    try:
        calls.make(
            "the snapshot",
            partial(
                ec2.create_snapshot, client_once, found.volume.volume_id, unique, description, find.owner_tags(app)
            ),
            look=partial(ec2.find_named_snapshot, client, unique),
            note=noted.append,
        )
    except KeyboardInterrupt as exc:
        calls.settle()
        error = Interrupted.of(exc, hint=f"List what exists: {PROGRAM} volume ls")
        for created in noted:
            error.attach_result(_report(found, created)).add_details(resources=_report(found, created).resources())
        raise error from exc
    except BootstrapError as exc:
        if not calls.unknown:
            raise
        hint = f"EC2 may have created it anyway: {PROGRAM} volume ls"
        raise IncompleteError(str(exc), hint=hint, code=exc.code) from exc
    return _report(found, noted[0])


def _flush(app: App, found: FoundVolume) -> None:
    """Write what the box that has the volume keeps in memory to its disk. Warn if that is not possible."""
    box = found.box
    if box is None or box.instance.state != "running":
        return
    volume_id = found.volume.volume_id
    reason = "this machine has no alias for its box"
    if box.host:
        output.info(f"Flushing {ec2.EBS_MOUNT_POINT} of {box.alias}")
        command = wrapped(quoted("sync", "-f", ec2.EBS_MOUNT_POINT))
        try:
            done = app.ssh.run(box.host.alias, command, limit=_FLUSH_SECONDS)
        except BootstrapError as exc:
            reason = str(exc)
        else:
            if done.exit_code == 0:
                return
            reason = done.lines[-1] if done.lines else "sync failed"
    message = f"The snapshot of {volume_id} may lack what was written in the last seconds: {reason}"
    output.warn(message, code="not-flushed", region=found.volume.region)


def _report(found: FoundVolume, created: Snapshot) -> SnapshotReport:
    size_gb = created.size_gb or found.volume.size_gb
    return SnapshotReport(
        snapshot_id=created.snapshot_id,
        volume_id=found.volume.volume_id,
        region=found.volume.region,
        size_gb=size_gb,
        state=created.state,
        monthly_cost_usd=snapshot_cost(size_gb),
        availability_zone=found.volume.availability_zone,
    )
