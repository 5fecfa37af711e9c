"""The data volume of a launch: made or taken, attached while the box boots, mounted at the end.

A volume that cannot be had or mounted leaves a usable box: it is reported, and the launch goes on.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .. import ec2, output
from ..config import LaunchConfig
from ..errors import BootstrapError, UsageError
from ..models import EbsVolume, Volume

if TYPE_CHECKING:
    from ..ssh import Ssh
    from .launch import Launch
    from .plan import LaunchPlan

_SCRIPT = files("aws_bootstrap") / "resources" / "mount_data_volume.sh"


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
            ec2.claim_ebs_volume(launch.client, plan.volume.volume_id, instance.instance_id)
        else:
            launch.volume = ec2.create_ebs_volume(
                launch.client, instance, plan.config.ebs_storage or 0, plan.config.tag
            )
    except BootstrapError as exc:
        _give_up(launch, exc)


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
        launch.mounted = mount_volume(launch.app.ssh, launch.alias, launch.volume)
    except BootstrapError as exc:
        _give_up(launch, exc)


def mount_volume(ssh: Ssh, alias: str, volume: Volume) -> bool:
    """Mount the volume at /data on the box. SshError `mount-failed` with the box's reason.

    Only a volume that this tool made is formatted, and only if it is empty: another one that looks empty may not be.
    """
    report = ssh.mount_ebs_volume(alias, _SCRIPT.read_bytes(), volume.volume_id, format_if_empty=volume.created_by_us)
    output.val("Data", f"{volume.volume_id} ({volume.size_gb} GB, {report.get('fstype')}) at {ec2.EBS_MOUNT_POINT}")
    return True


def in_report(volume: Volume | None, mounted: bool) -> EbsVolume | None:
    """The volume as reports show it."""
    return EbsVolume(volume.volume_id, ec2.EBS_MOUNT_POINT, volume.size_gb, mounted) if volume else None


def find_for(client: Any, instance_id: str) -> Volume | None:
    """The data volume that is meant for an instance, attached now if it was not yet."""
    volume = next(iter(ec2.find_ebs_volumes_for_instance(client, instance_id)), None)
    if volume and volume.state == "available":
        ec2.attach_ebs_volume(client, volume.volume_id, instance_id)
    return volume


def _give_up(launch: Launch, error: BootstrapError) -> None:
    launch.volume_error = error
    output.warn(f"The data volume: {error}")
