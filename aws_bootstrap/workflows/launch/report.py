"""The report of a launch, as far as it has come, and how `setup` goes on with it."""

from __future__ import annotations

import time
from dataclasses import replace

from ...models import Instance, LaunchReport
from ...ssh import VolumeUnformatted, quoted
from .. import data_volume
from ..provision import SetupOutcome
from .state import Launch, Node


def report(launch: Launch) -> LaunchReport:
    """Return what is known by now."""
    node = launch.node
    facts = LaunchReport(
        instance_id=None,
        public_ip=None,
        instance_type=launch.instance_type,
        availability_zone=None,
        ami_id=launch.image.image_id,
        pricing=_market(launch),
        region=launch.region_plan.region,
        regions_tried=_regions_tried(launch),
        ssh_alias=node.alias,
        setup=None,
        made_beside=tuple(launch.made_beside),
        regions_failed=launch.plan.regions_failed,
        setup_options=setup_options(launch, node),
        user=launch.plan.user(launch.image),
        seconds=time.monotonic() - launch.began,
    )
    if node.instance:
        facts = _with_instance(facts, node.instance)
    if node.outcome:
        facts = _with_setup(facts, node.outcome)
    return _with_volume(facts, launch, node)


def _market(launch: Launch) -> str:
    """Return the market of the last attempt, or of the first to come."""
    if launch.attempts:
        return launch.attempts[-1].market
    return launch.config.market


def _regions_tried(launch: Launch) -> tuple[str, ...]:
    """Return the regions of the attempts, each once, in the order of their first attempt."""
    regions = [attempt.region for attempt in launch.attempts]
    return tuple(dict.fromkeys(regions))


def _with_instance(facts: LaunchReport, instance: Instance) -> LaunchReport:
    """Return the report with what is known of the instance."""
    return replace(
        facts,
        instance_id=instance.instance_id,
        public_ip=instance.public_ip,
        availability_zone=instance.availability_zone,
    )


def _with_setup(facts: LaunchReport, outcome: SetupOutcome) -> LaunchReport:
    """Return the report with how the remote setup went."""
    return replace(
        facts,
        setup=outcome.setup,
        setup_failed_step=outcome.failed_step,
        setup_failed_reason=outcome.message,
        setup_failed_output=outcome.output,
        cuda_version=outcome.cuda_version,
    )


def _with_volume(facts: LaunchReport, launch: Launch, node: Node) -> LaunchReport:
    """Return the report with the data volume, and the error where it could not be had or mounted."""
    facts = replace(
        facts,
        ebs_volume=data_volume.in_report(node.volume, node.mounted),
        volume_created=launch.created_volume(node) is not None,
    )
    error = node.volume_error
    if error is None:
        return facts
    return replace(
        facts,
        volume_error=str(error),
        volume_hint=error.hint,
        volume_unformatted=isinstance(error, VolumeUnformatted),
    )


def setup_options(launch: Launch, node: Node) -> str:
    """Return the options that `setup` needs to do what the launch was asked to, each after a space.

    A box that has its settings needs no Python version again. The user's script runs only where it is given.
    """
    config = launch.config
    outcome = node.outcome
    box_has_settings = outcome is not None and outcome.box_has_settings
    words: list[str] = []
    if config.python_version and not box_has_settings:
        words += ["--python-version", config.python_version]
    if config.setup_script:
        words += ["--setup-script", str(config.setup_script)]
    options = ""
    for word in words:
        options += f" {quoted(word)}"
    return options
