"""The data volume of a launch: made or taken, attached while the box boots, mounted at the end.

A volume that cannot be had or mounted leaves a usable box: it is reported, and the launch goes on.
"""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .. import ec2, output
from ..config import TAG_FORMAT, LaunchConfig
from ..errors import BootstrapError, UsageError
from ..models import EbsVolume, Instance, Volume
from ..ssh import VolumeUnformatted
from .remote import tarball
from .unknown import note_nothing

if TYPE_CHECKING:
    from ..app import App
    from .launch import Launch
    from .plan import LaunchPlan

_RESOURCES = files("aws_bootstrap") / "resources"
_SCRIPTS = ("mount_data_volume.sh", "empty_disk.py", "fstab.py")


VOLUME = "the data volume"
"""The name of CreateVolume among the launch's calls."""


def wanted(plan: LaunchPlan) -> bool:
    """Whether the launch is to have a data volume."""
    return bool(plan.config.ebs_storage or plan.volume)


def title(plan: LaunchPlan) -> str:
    """What is done about the data volume."""
    return f"Attach {plan.volume.volume_id}" if plan.volume else f"Make a data volume of {plan.config.ebs_storage} GB"


def check_options(config: LaunchConfig) -> None:
    """UsageError where the options about a data volume exclude one another."""
    if config.ebs_storage and config.ebs_volume_id:
        raise UsageError("--ebs-storage makes a new volume, --ebs-volume-id takes an existing one: give one of them.")
    if config.ebs_volume_id and len(config.region) > 1:
        raise UsageError(
            "A data volume is in one region, and so is its box.", hint="Give that --region alone, with --ebs-volume-id."
        )


def have(launch: Launch) -> None:
    """Make the volume, or claim the user's for the instance: as soon as the zone is known."""
    instance, plan = launch.instance, launch.plan
    assert instance
    try:
        if plan.volume:
            launch.volume = plan.volume
            _claim(launch, plan.volume.volume_id, instance.instance_id)
        else:
            _create(launch, instance)
    except BootstrapError as exc:
        _give_up(launch, exc)


def _claim(launch: Launch, volume_id: str, instance_id: str) -> None:
    """Tag the user's volume as the instance's."""
    client = launch.client

    def find() -> bool | None:
        volume = ec2.find_volume(client, volume_id)
        return True if volume and volume.kept and volume.instance_id == instance_id else None

    claim = partial(ec2.claim_ebs_volume, client, volume_id, instance_id)
    launch.calls.make(f"the tags of {volume_id}", claim, look=find, note=note_nothing)


def _create(launch: Launch, instance: Instance) -> None:
    """Create the volume. One whose creation was not answered is found by the tag that names its instance."""
    client, config = launch.client, launch.plan.config

    def note(volume: Volume) -> None:
        launch.volume = volume

    try:
        launch.calls.make(
            VOLUME,
            partial(ec2.create_ebs_volume, client, instance, config.ebs_storage or 0, config.tag),
            look=partial(find_for, client, instance.instance_id),
            note=note,
        )
    except BootstrapError as exc:
        if VOLUME not in launch.calls.unknown:
            raise
        look = f"Look:      {launch.app.access.program} status --region {instance.region}"
        what = f"{exc} Whether a volume was created all the same is not known."
        raise BootstrapError(what, hint=look, code=exc.code) from exc


def attach(launch: Launch) -> None:
    """Attach it, once the instance runs."""
    assert launch.instance
    if launch.volume is None or launch.volume_error:
        return
    try:
        ec2.attach_ebs_volume(launch.client, launch.volume.volume_id, launch.instance.instance_id)
    except BootstrapError as exc:
        _give_up(launch, exc)


def mount(launch: Launch) -> None:
    """Mount it on the box."""
    assert launch.alias
    if launch.volume is None or launch.volume_error:
        return
    try:
        mount_volume(launch.app, launch.alias, launch.volume)
        launch.mounted = True
    except BootstrapError as exc:
        _give_up(launch, exc)


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
        hint = f"Format:    {app.access.program} setup {alias} --format-volume"
        raise VolumeUnformatted(str(exc), hint=hint, code="mount-failed") from exc
    for note in notes:
        output.warn(f"The data volume: {note}", code="volume-note", region=volume.region)
    formatted = ", formatted now" if report.get("formatted") else ""
    filesystem = f"{report.get('fstype')}{formatted}"
    output.val("Data", f"{volume.volume_id} ({volume.size_gb} GB, {filesystem}) at {ec2.EBS_MOUNT_POINT}")


def package() -> bytes:
    """Return the mount scripts as one gzipped tar."""
    return tarball({name: (_RESOURCES / name).read_bytes() for name in _SCRIPTS})


def _take_format_leave(client: Any, volume: Volume) -> bool:
    """Return whether this mount may format the volume; from now on no other one may.

    Without certainty there is no leave: where the answer to the removal of the tag is lost, nothing is formatted.
    """
    if not volume.format_once:
        return False
    try:
        taken = ec2.take_format_leave(client, volume.volume_id)
        reason = "it is still there, or was removed by somebody else"
    except BootstrapError as exc:
        taken, reason = False, str(exc)
    if not taken:
        what = f"{volume.volume_id} is not formatted by this command: its tag {TAG_FORMAT}: {reason}"
        output.warn(what, code="volume-not-formatted", region=volume.region)
    return taken


def _forget_format_leave(client: Any, volume: Volume) -> None:
    """Remove the tag of a volume that is formatted by the user's own word. BootstrapError if it stays."""
    if volume.format_once and not ec2.take_format_leave(client, volume.volume_id):
        raise BootstrapError(f"The tag {TAG_FORMAT} of {volume.volume_id} could not be removed. Nothing was formatted.")


def in_report(volume: Volume | None, mounted: bool) -> EbsVolume | None:
    """The volume as reports show it."""
    return EbsVolume(volume.volume_id, ec2.EBS_MOUNT_POINT, volume.size_gb, mounted) if volume else None


def find_for(client: Any, instance_id: str) -> Volume | None:
    """The first data volume that is meant for an instance, if any."""
    return next(iter(ec2.find_ebs_volumes_for_instance(client, instance_id)), None)


def attach_free(client: Any, volume: Volume, instance_id: str) -> None:
    """Attach the volume to the instance if it was free when it was read."""
    if volume.state == "available":
        ec2.attach_ebs_volume(client, volume.volume_id, instance_id)


def _give_up(launch: Launch, error: BootstrapError) -> None:
    launch.volume_error = error
    output.warn(f"The data volume: {error}", code=error.code, region=launch.where.region)
