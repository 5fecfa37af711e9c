"""The data volume of a box: found, attached, formatted only with leave, and mounted at /data."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .. import ec2, output
from ..config import TAG_FORMAT
from ..errors import BootstrapError
from ..invocation import PROGRAM
from ..models import EbsVolume, Volume
from ..ssh import VolumeUnformatted
from .remote import tarball

if TYPE_CHECKING:
    from ..app import App

_RESOURCES = files("aws_bootstrap") / "resources"
_SCRIPTS = ("mount_data_volume.sh", "empty_disk.py", "fstab.py")


def mount_volume(app: App, alias: str, volume: Volume, *, format_volume: bool = False) -> None:
    """Mount the volume at /data on the box. SshError `mount-failed` with the box's reason.

    It is formatted only if it is empty, and only if it is new (its tag says so, which is then removed) or the user has
    agreed to it (`format_volume`).
    """
    client = app.aws.ec2(volume.region)
    if format_volume:
        _forget_format_leave(client, volume)
    leave = format_volume or _take_format_leave(client, volume)
    try:
        report, notes = app.ssh.mount_ebs_volume(alias, package(), volume.volume_id, format_if_empty=leave)
    except VolumeUnformatted as exc:
        hint = f"Format:    {PROGRAM} setup {alias} --format-volume"
        raise VolumeUnformatted(str(exc), hint=hint, code="mount-failed") from exc
    for note in notes:
        output.warn(f"The data volume: {note}", code="volume-note", region=volume.region)
    filesystem = str(report.get("fstype"))
    if report.get("formatted"):
        filesystem += ", formatted now"
    output.val("Data", f"{volume.volume_id} ({volume.size_gb} GB, {filesystem}) at {ec2.EBS_MOUNT_POINT}")


def package() -> bytes:
    """Return the mount scripts as one gzipped tar."""
    contents: dict[str, bytes] = {}
    for name in _SCRIPTS:
        script = _RESOURCES / name
        contents[name] = script.read_bytes()
    return tarball(contents)


def _take_format_leave(client: Any, volume: Volume) -> bool:
    """Return whether this mount may format the volume; from now on no other one may.

    Without certainty there is no leave: where the answer to the removal of the tag is lost, nothing is formatted.
    """
    if not volume.format_once:
        return False
    try:
        taken = ec2.revoke_format_permission(client, volume.volume_id)
        reason = "it is still there, or was removed by somebody else"
    except BootstrapError as exc:
        taken = False
        reason = str(exc)
    if not taken:
        what = f"{volume.volume_id} is not formatted by this command: its tag {TAG_FORMAT}: {reason}"
        output.warn(what, code="volume-not-formatted", region=volume.region)
    return taken


def _forget_format_leave(client: Any, volume: Volume) -> None:
    """Remove the tag of a volume that is formatted by the user's own word. BootstrapError if it stays."""
    if not volume.format_once:
        return
    if not ec2.revoke_format_permission(client, volume.volume_id):
        raise BootstrapError(f"The tag {TAG_FORMAT} of {volume.volume_id} could not be removed. Nothing was formatted.")


def in_report(volume: Volume | None, mounted: bool) -> EbsVolume | None:
    """Return the volume as reports show it."""
    if volume is None:
        return None
    return EbsVolume(volume.volume_id, ec2.EBS_MOUNT_POINT, volume.size_gb, mounted)


def find_for(client: Any, instance_id: str) -> Volume | None:
    """Return the first data volume that is meant for an instance, if any."""
    volumes = ec2.find_ebs_volumes_for_instance(client, instance_id)
    return next(iter(volumes), None)


def attach_free(client: Any, volume: Volume, instance_id: str) -> None:
    """Attach the volume to the instance if it was free when it was read."""
    if volume.state == "available":
        ec2.attach_ebs_volume(client, volume.volume_id, instance_id)
