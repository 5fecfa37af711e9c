"""The data volume of a launch: created or claimed, attached while the box boots, mounted at the end.

A volume that cannot be had or mounted leaves a usable box: it is reported, and the launch goes on.
"""

from __future__ import annotations

from functools import partial

from ... import ec2, output
from ...errors import BootstrapError
from ...invocation import PROGRAM
from ...models import Instance, Volume
from .. import data_volume
from ..unknown import note_nothing
from .plan import LaunchPlan
from .state import VOLUME, Launch, Node


def is_requested(plan: LaunchPlan) -> bool:
    """Return whether a data volume is requested."""
    return bool(plan.config.ebs_storage or plan.volume)


def title(plan: LaunchPlan) -> str:
    """Return what is done about the data volume."""
    if plan.volume:
        return f"Attach {plan.volume.volume_id}"
    return f"Make a data volume of {plan.config.ebs_storage} GB"


def provide(launch: Launch, node: Node) -> None:
    """Create the volume, or claim the user's for the instance: as soon as the zone is known."""
    assert node.instance
    try:
        if launch.plan.volume:
            node.volume = launch.plan.volume
            _claim(launch, node.volume.volume_id, node.instance_id)
        else:
            _create(launch, node, node.instance)
    except BootstrapError as exc:
        _give_up(launch, node, exc)


def _claim(launch: Launch, volume_id: str, instance_id: str) -> None:
    """Tag the user's volume as the instance's."""
    client = launch.client

    def find() -> Volume | None:
        volume = ec2.find_volume(client, volume_id)
        return volume if volume and volume.kept and volume.instance_id == instance_id else None

    claim = partial(ec2.claim_ebs_volume, client, volume_id, instance_id)
    launch.calls.make(f"the tags of {volume_id}", claim, look=find, note=note_nothing)


def _create(launch: Launch, node: Node, instance: Instance) -> None:
    """Create the volume. One whose creation was not answered is found by the tag that names its instance."""
    client, config = launch.client, launch.plan.config

    def note(volume: Volume) -> None:
        node.volume = volume

    try:
        launch.calls.make(
            VOLUME,
            partial(ec2.create_ebs_volume, client, instance, config.ebs_storage or 0, config.tag),
            look=partial(data_volume.find_for, client, instance.instance_id),
            note=note,
        )
    except BootstrapError as exc:
        if VOLUME not in launch.calls.unknown:
            raise
        look = f"Look:      {PROGRAM} status --region {instance.region}"
        what = f"{exc} Whether a volume was created all the same is not known."
        raise BootstrapError(what, hint=look, code=exc.code) from exc


def attach(launch: Launch, node: Node) -> None:
    """Attach it, once the instance runs."""
    if node.volume is None or node.volume_error:
        return
    try:
        ec2.attach_ebs_volume(launch.client, node.volume.volume_id, node.instance_id)
    except BootstrapError as exc:
        _give_up(launch, node, exc)


def mount(launch: Launch, node: Node) -> None:
    """Mount it on the box."""
    assert node.alias
    if node.volume is None or node.volume_error:
        return
    try:
        data_volume.mount_volume(launch.app, node.alias, node.volume)
        node.mounted = True
    except BootstrapError as exc:
        _give_up(launch, node, exc)


def _give_up(launch: Launch, node: Node, error: BootstrapError) -> None:
    node.volume_error = error
    output.warn(f"The data volume: {error}", code=error.code, region=launch.region_plan.region)
