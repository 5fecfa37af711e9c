"""Grow a data volume, and the filesystem on it where a box that this machine reaches has it mounted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError, IncompleteError, Interrupted, UsageError
from ...invocation import PROGRAM
from ...models import GrowReport
from ...models.cost import volume_cost
from ...ssh import quoted, wrapped
from ..unknown import Calls, note_nothing
from . import find
from .find import FoundVolume

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ...app import App

_LIMIT = 300.0
#: Grows the filesystem of the volume whose serial is $1 (its id without the dash) to its size, $2 bytes at least.
#: A volume whose filesystem lies on the whole disk, as this tool formats it, needs no change of a partition.
_SCRIPT = """\
device=$(lsblk -d -n -p -o NAME,SERIAL | awk -v serial="$1" '$2 == serial { print $1 }')
[ -n "$device" ] || { echo "the box does not show the volume"; exit 1; }
point=$(findmnt -n -o TARGET --source "$device") || { echo "$device is not mounted"; exit 3; }
for _ in $(seq 60); do
  [ "$(sudo -n blockdev --getsize64 "$device")" -ge "$2" ] && break
  sleep 1
done
case $(findmnt -n -o FSTYPE --source "$device") in
  ext2 | ext3 | ext4) sudo -n resize2fs "$device" ;;
  xfs) sudo -n xfs_growfs "$point" ;;
  btrfs) sudo -n btrfs filesystem resize max "$point" ;;
  *) echo "its filesystem is none that is grown here"; exit 1 ;;
esac
"""
_NOT_MOUNTED = 3


def plan(app: App, name: str, size_gb: int) -> tuple[FoundVolume, GrowReport]:
    """Return the volume, and what growing it would come to. UsageError for a size below its own.

    Of its own size only the filesystem is grown: an earlier command may have stopped between the two.
    """
    found = find.volume(app, name)
    volume = found.volume
    if size_gb < volume.size_gb:
        raise UsageError(
            f"{volume.volume_id} has {volume.size_gb} GB already: a volume can grow, but not shrink.",
            hint=f"Pass more: {PROGRAM} volume grow {name} --size {volume.size_gb + 1}",
        )
    return found, GrowReport(
        volume_id=volume.volume_id,
        region=volume.region,
        previous_size_gb=volume.size_gb,
        size_gb=size_gb,
        monthly_cost_usd=volume_cost(size_gb, volume.volume_type),
        filesystem="declined",
        ssh_alias=found.box.alias if found.box else None,
    )


def apply(app: App, found: FoundVolume, planned: GrowReport) -> GrowReport:
    """Grow the volume, then its filesystem. What fails after the volume has grown is in the report."""
    client = app.aws.ec2(planned.region)
    grown = replace(planned, filesystem="not-mounted")
    is_growing = planned.size_gb > planned.previous_size_gb
    if is_growing:
        _grow_volume(app, client, planned)
    try:
        if is_growing or ec2.find_growth(client, planned.volume_id, planned.size_gb):
            ec2.wait_grown(client, planned.volume_id)
        return _with_filesystem(app, found, grown)
    except KeyboardInterrupt as exc:
        command = f"{PROGRAM} volume grow {planned.volume_id} --size {planned.size_gb}"
        hint = f"The volume grows. Grow its filesystem: {command}"
        raise Interrupted.of(exc, hint=hint).attach_result(grown) from exc
    except BootstrapError as exc:
        return replace(grown, filesystem="failed", filesystem_error=str(exc))


def _grow_volume(app: App, client: EC2Client, planned: GrowReport) -> None:
    """Grow the volume. A retry after a lost answer is refused, since EC2 takes one change in six hours: look it up."""
    calls = Calls(app.lookup_seconds)
    try:
        output.info(f"Growing {planned.volume_id} from {planned.previous_size_gb} to {planned.size_gb} GB")
        calls.make(
            "the growth of the volume",
            partial(ec2.grow_volume, client, planned.volume_id, planned.size_gb),
            look=partial(ec2.find_growth, client, planned.volume_id, planned.size_gb),
            note=note_nothing,
        )
    except KeyboardInterrupt as exc:
        calls.settle()
        raise Interrupted.of(exc, hint=f"See its size: {PROGRAM} volume ls") from exc
    except BootstrapError as exc:
        if not calls.unknown:
            if _was_accepted(client, planned):
                return
            raise
        hint = f"EC2 may have grown it anyway: {PROGRAM} volume ls"
        raise IncompleteError(str(exc), hint=hint, code=exc.code) from exc


def _was_accepted(client: EC2Client, planned: GrowReport) -> bool:
    """Return whether EC2 has accepted the growth though it refused it at last: an earlier answer was lost."""
    try:
        return ec2.find_growth(client, planned.volume_id, planned.size_gb) is not None
    except BootstrapError:
        return False  # the refusal says more


def _with_filesystem(app: App, found: FoundVolume, grown: GrowReport) -> GrowReport:
    """Grow the filesystem on the box that has the volume mounted; return the report with the outcome."""
    box = found.box
    if box is None or box.host is None or not box.is_reachable:
        return grown
    output.info(f"Growing the filesystem on {box.alias}")
    words = (grown.volume_id.replace("-", ""), str(grown.size_gb * 1024**3))
    done = app.ssh.run(box.host.alias, wrapped(quoted("bash", "-c", _SCRIPT, "grow", *words)), limit=_LIMIT)
    if done.exit_code == _NOT_MOUNTED:
        return grown
    if done.exit_code:
        reason = done.lines[-1] if done.lines else "no output"
        return replace(grown, filesystem="failed", filesystem_error=reason)
    return replace(grown, filesystem="grown")
