"""Find, attach and mount the data volume of a box, at /data. It is formatted only with permission."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from .. import ec2, output
from ..config import TAG_FORMAT
from ..errors import BootstrapError
from ..invocation import PROGRAM
from ..models import EbsVolume, Volume
from ..ssh import VolumeUnformatted
from .provision import tarball

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App

_RESOURCES = files("aws_bootstrap") / "resources"
_SCRIPTS = ("mount_data_volume.sh", "empty_disk.py", "fstab.py")


def mount_volume(app: App, alias: str, volume: Volume, *, format_volume: bool = False) -> None:
    """Mount the volume at /data on the box. SshError `mount-failed` with the box's reason.

    It is formatted only if it is empty, and only with permission: the user agreed (`format_volume`), or the volume has
    the tag of a new one, which is removed first.
    """
    client = app.aws.ec2(volume.region)
    if format_volume:
        _remove_format_tag(client, volume)
    may_format = format_volume or bool(take_format_permissions(client, [volume]))
    mount_permitted(app, alias, volume, may_format=may_format)


def mount_permitted(app: App, alias: str, volume: Volume, *, may_format: bool) -> None:
    """Mount the volume at /data on the box, and format it if it may be and is empty. Errors are those of the other."""
    try:
        report, notes = app.ssh.mount_ebs_volume(alias, package(), volume.volume_id, format_if_empty=may_format)
    except VolumeUnformatted as exc:
        hint = f"Format it: {PROGRAM} setup {alias} --format-volume"
        raise VolumeUnformatted(str(exc), hint=hint, code="mount-failed") from exc
    for note in notes:
        output.warn(f"Data volume {volume.volume_id}: {note}", code="volume-note", region=volume.region)
    filesystem = str(report.get("fstype"))
    if report.get("formatted"):
        filesystem += ", newly formatted"
    output.val("Data", f"{volume.volume_id} ({volume.size_gb} GB, {filesystem}) at {ec2.EBS_MOUNT_POINT}")


def package() -> bytes:
    """Return the mount scripts as one gzipped tar."""
    contents: dict[str, bytes] = {}
    for name in _SCRIPTS:
        script = _RESOURCES / name
        contents[name] = script.read_bytes()
    return tarball(contents)


def take_format_permissions(client: EC2Client, volumes: Sequence[Volume]) -> set[str]:
    """Return the ids of those of the volumes that this mount may format. No later mount may.

    If it is uncertain that this call removed a tag, such as when its answer is lost, nothing is formatted.
    """
    tagged = [volume for volume in volumes if volume.format_once]
    if not tagged:
        return set()
    taken: set[str] = set()
    reason = "it still exists, or another command removed it"
    try:
        taken = ec2.revoke_format_permissions(client, [volume.volume_id for volume in tagged])
    except BootstrapError as exc:
        reason = str(exc)
    for volume in tagged:
        if volume.volume_id not in taken:
            message = f"{volume.volume_id} will not be formatted. Could not remove its tag {TAG_FORMAT}: {reason}"
            output.warn(message, code="volume-not-formatted", region=volume.region)
    return taken


def _remove_format_tag(client: EC2Client, volume: Volume) -> None:
    """Remove the tag of a volume that the user agreed to format. BootstrapError if the tag remains."""
    if not volume.format_once:
        return
    if not ec2.revoke_format_permissions(client, [volume.volume_id]):
        raise BootstrapError(f"Could not remove the tag {TAG_FORMAT} of {volume.volume_id}. Nothing was formatted.")


def in_report(volume: Volume | None, mounted: bool) -> EbsVolume | None:
    """Return the volume for a report; None without one."""
    if volume is None:
        return None
    return EbsVolume(volume.volume_id, ec2.EBS_MOUNT_POINT, volume.size_gb, mounted)


def find_for(client: EC2Client, instance_id: str) -> Volume | None:
    """Return the first data volume of an instance, if any."""
    return find_for_all(client, [instance_id]).get(instance_id)


def find_for_all(client: EC2Client, instance_ids: Sequence[str]) -> dict[str, Volume]:
    """Return the first data volume of each of the instances that has one, by the instance's id."""
    found: dict[str, Volume] = {}
    for volume in ec2.find_ebs_volumes_for_instances(client, instance_ids):
        if volume.instance_id:
            found.setdefault(volume.instance_id, volume)
    return found


def attach_if_available(client: EC2Client, volume: Volume, instance_id: str) -> None:
    """Attach the volume to the instance if it was available when it was read."""
    if volume.state == "available":
        ec2.attach_ebs_volume(client, volume.volume_id, instance_id)
