"""The report of a launch, as far as it has come, and how `setup` goes on with it."""

from __future__ import annotations

import time

from ...models import LaunchReport
from ...ssh import VolumeUnformatted, quoted
from .. import data_volume
from .state import Launch, Node


def report(launch: Launch) -> LaunchReport:
    """Return what is known by now."""
    node = launch.node
    instance, outcome, error = node.instance, node.outcome, node.volume_error
    return LaunchReport(
        instance_id=instance.instance_id if instance else None,
        public_ip=instance.public_ip if instance else None,
        instance_type=launch.instance_type,
        availability_zone=instance.availability_zone if instance else None,
        ami_id=launch.image.image_id,
        pricing=launch.attempts[-1].market if launch.attempts else launch.config.market,
        region=launch.where.region,
        regions_tried=tuple(dict.fromkeys(attempt.region for attempt in launch.attempts)),
        ssh_alias=node.alias,
        setup=outcome.setup if outcome else None,
        setup_failed_step=outcome.failed_step if outcome else None,
        setup_failed_reason=outcome.message if outcome else None,
        setup_failed_output=outcome.output if outcome else None,
        cuda_version=outcome.cuda_version if outcome else None,
        ebs_volume=data_volume.in_report(node.volume, node.mounted),
        volume_created=launch.created_volume(node) is not None,
        made_beside=tuple(launch.made_beside),
        volume_error=str(error) if error else None,
        volume_hint=error.hint if error else None,
        volume_unformatted=isinstance(error, VolumeUnformatted),
        regions_failed=launch.plan.regions_failed,
        access=launch.app.access,
        setup_options=setup_options(launch, node),
        user=launch.plan.user(launch.image),
        seconds=time.monotonic() - launch.began,
    )


def setup_options(launch: Launch, node: Node) -> str:
    """Return the options that `setup` needs to do what the launch was asked to, each after a space.

    A box that has its settings needs no Python version again. The user's script runs only where it is given.
    """
    config, outcome = launch.config, node.outcome
    box_has_settings = outcome is not None and outcome.box_has_settings
    words: list[str] = []
    if config.python_version and not box_has_settings:
        words += ["--python-version", config.python_version]
    if config.setup_script:
        words += ["--setup-script", str(config.setup_script)]
    return "".join(f" {quoted(word)}" for word in words)
