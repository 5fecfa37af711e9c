"""The data volume of a launch: created or claimed, attached while the box boots, mounted at the end.

A failure is reported and does not end the launch, since the box is usable without the volume.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from ... import ec2, output
from ...errors import BootstrapError
from ...models import Instance, Volume
from ...outcomes import check_hint
from .. import data_volume
from ..unknown import note_nothing
from . import settings
from .each_node import ATTACH_VOLUME, CREATE_VOLUME, at_rate, at_the_same_time
from .plan import LaunchPlan
from .state import Launch, Node, volume_call


def is_requested(plan: LaunchPlan) -> bool:
    """Return whether a data volume is requested."""
    return bool(plan.config.ebs_storage or plan.volume)


def step_title(plan: LaunchPlan) -> str:
    """Return the title of the step that creates or claims the data volume."""
    if plan.volume:
        return f"Claim the data volume {plan.volume.volume_id}"
    return f"Create a data volume of {plan.config.ebs_storage} GB"


def create_or_claim(launch: Launch) -> None:
    """Create a data volume in the zone of each instance that has none, or claim the existing one for the instance."""
    _find_existing(launch)
    missing = [node for node in launch.nodes if node.volume is None and node.volume_error is None]
    at_rate(CREATE_VOLUME, _create_or_claim, launch, missing)


def _find_existing(launch: Launch) -> None:
    """Find the data volumes of the boxes that existed before the launch."""
    existing = [node for node in launch.nodes if node.existing]
    if not existing:
        return
    try:
        volumes = data_volume.find_for_all(launch.client, [node.instance_id for node in existing])
    except BootstrapError as exc:
        for node in existing:
            _note_failure(launch, node, exc)
        return
    for node in existing:
        node.volume = volumes.get(node.instance_id)
        node.had_volume = node.volume is not None


def _create_or_claim(launch: Launch, node: Node) -> None:
    """Create a data volume in the instance's zone, or claim the existing one for the instance."""
    assert node.instance
    try:
        if launch.plan.volume:
            node.volume = launch.plan.volume
            _claim(launch, node.volume.volume_id, node.instance_id)
        else:
            _create(launch, node, node.instance)
    except BootstrapError as exc:
        _note_failure(launch, node, exc)


def _claim(launch: Launch, volume_id: str, instance_id: str) -> None:
    """Tag the existing volume with the id of its instance."""
    client = launch.client

    def find() -> Volume | None:
        volume = ec2.find_volume(client, volume_id)
        if volume and volume.kept and volume.instance_id == instance_id:
            return volume
        return None

    claim = partial(ec2.claim_ebs_volume, client, volume_id, instance_id, settings.line_of(launch.plan))
    launch.calls.make(f"the tags of {volume_id}", claim, look=find, note=note_nothing)


def _create(launch: Launch, node: Node, instance: Instance) -> None:
    """Create the volume. If CreateVolume does not answer, find the volume by the tag with its instance's id."""
    client, config = launch.client, launch.plan.config

    volume_tags = launch.plan.tags | ec2.settings_tags(settings.line_of(launch.plan))

    def note(volume: Volume) -> None:
        node.volume = volume

    try:
        launch.calls.make(
            volume_call(node),
            partial(ec2.create_ebs_volume, client, instance, config.ebs_storage or 0, volume_tags),
            look=partial(data_volume.find_for, client, instance.instance_id),
            note=note,
        )
    except BootstrapError as exc:
        if volume_call(node) not in launch.calls.unknown:
            raise
        look = check_hint(instance.region)
        message = f"{exc} EC2 may have created the data volume anyway."
        raise BootstrapError(message, hint=look, code=exc.code) from exc


def attach(launch: Launch) -> None:
    """Attach each volume to its running instance."""
    detached: dict[str, Node] = {}
    for volume, node in _usable(launch):
        if volume.attached_to != node.instance_id:
            detached[volume.volume_id] = node
    if len(detached) > 1:
        _wait_created(launch, list(detached))
    at_rate(ATTACH_VOLUME, _attach, launch, list(detached.values()))


def _wait_created(launch: Launch, volume_ids: Sequence[str]) -> None:
    """Wait until all volumes are created: with one call for all, where each would be refused until its own is."""
    try:
        ec2.wait_created(launch.client, volume_ids)
    except BootstrapError as exc:
        output.info(f"Could not look at the new data volumes: {exc}")


def _usable(launch: Launch) -> list[tuple[Volume, Node]]:
    """Return the data volumes with which nothing has failed, each with its box."""
    found: list[tuple[Volume, Node]] = []
    for node in launch.nodes:
        if node.volume and node.volume_error is None:
            found.append((node.volume, node))
    return found


def _attach(launch: Launch, node: Node) -> None:
    """Attach the volume to the running instance."""
    assert node.volume
    try:
        ec2.attach_ebs_volume(launch.client, node.volume.volume_id, node.instance_id)
    except BootstrapError as exc:
        _note_failure(launch, node, exc)


def mount(launch: Launch) -> None:
    """Mount each volume on its box. The permission to format is taken of all of them at once."""
    usable = _usable(launch)
    permitted = data_volume.take_format_permissions(launch.client, [volume for volume, _ in usable])

    def mount_one(launch: Launch, node: Node) -> None:
        _mount(launch, node, permitted)

    at_the_same_time(mount_one, launch, [node for _, node in usable])


def _mount(launch: Launch, node: Node, permitted: Collection[str]) -> None:
    """Mount the volume on the box."""
    assert node.alias
    assert node.volume
    may_format = node.volume.volume_id in permitted
    try:
        data_volume.mount_permitted(launch.app, node.alias, node.volume, may_format=may_format)
        node.mounted = True
    except BootstrapError as exc:
        _note_failure(launch, node, exc)


def _note_failure(launch: Launch, node: Node, error: BootstrapError) -> None:
    """Note why the volume is not mounted, and warn of it."""
    node.volume_error = error
    name = "the data volume"
    if node.volume:
        name += f" {node.volume.volume_id}"
    output.warn(f"Could not set up {name}: {error}", code=error.code, region=launch.region_plan.region)
