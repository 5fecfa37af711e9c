"""The report of a complete or broken launch, and the options with which `setup` continues it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from ...models import Instance, LaunchReport, MonthlyCost
from ...models.cost import box_costs, data_volume_cost, monthly_total, root_volume_cost
from ...models.facts import Market, seconds_until
from ...ssh import VolumeUnformatted
from .. import data_volume, provision
from ..provision import SetupOutcome
from .state import Launch, Node


def report(launch: Launch, node: Node | None = None) -> LaunchReport:
    """Return the launch of one of its boxes, by default the first, as a result, with what is known so far."""
    node = node or launch.node
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
        existing=node.existing or None,
        other_resources=() if launch.plan.cluster else tuple(launch.other_resources),
        regions_failed=launch.plan.regions_failed,
        setup_options=setup_options(launch, node),
        user=launch.plan.user(launch.image),
        seconds=time.monotonic() - launch.began,
    )
    if node.instance:
        facts = _with_costs(_with_instance(facts, node.instance), launch, node, node.instance)
    if node.outcome:
        facts = _with_setup(facts, node.outcome)
    return _with_volume(facts, launch, node)


def _market(launch: Launch) -> Market:
    """Return the market of the last attempt, else the configured one."""
    if launch.attempts:
        return launch.attempts[-1].market
    return launch.config.market


def _regions_tried(launch: Launch) -> tuple[str, ...]:
    """Return the regions of the attempts, each once, in order."""
    regions = [attempt.region for attempt in launch.attempts]
    return tuple(dict.fromkeys(regions))


def _with_instance(facts: LaunchReport, instance: Instance) -> LaunchReport:
    """Return the report with the facts of the instance."""
    return replace(
        facts,
        instance_id=instance.instance_id,
        public_ip=instance.public_ip,
        availability_zone=instance.availability_zone,
        deadline=instance.deadline,
        seconds_left=seconds_until(instance.deadline, datetime.now(UTC)),
        idle_timeout_seconds=instance.idle_timeout,
    )


def _with_costs(facts: LaunchReport, launch: Launch, node: Node, instance: Instance) -> LaunchReport:
    """Return the report with what the instance costs an hour, and its disks and its address a month."""
    data_volumes: list[MonthlyCost] = []
    if node.volume:
        data_volumes.append(data_volume_cost(node.volume.size_gb, node.volume.volume_type))
    root = root_volume_cost(launch.config.volume_size)
    costs = box_costs(root, data_volumes, has_address=instance.public_ip is not None)
    return replace(
        facts,
        price_per_hour=launch.plan.prices.of_instance(instance),
        monthly_cost_usd=monthly_total(costs),
        monthly_costs=costs,
    )


def _with_setup(facts: LaunchReport, outcome: SetupOutcome) -> LaunchReport:
    """Return the report with the outcome of the remote setup."""
    return replace(
        facts,
        setup=outcome.setup,
        setup_failed_step=outcome.failed_step,
        setup_failed_reason=outcome.message,
        setup_failed_output=outcome.output,
        cuda_version=outcome.cuda_version,
    )


def _with_volume(facts: LaunchReport, launch: Launch, node: Node) -> LaunchReport:
    """Return the report with the data volume, and with the error if it is not mounted."""
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
    """Return the options with which `setup` applies the launch's settings, each after a space."""
    outcome = node.outcome
    box_has_settings = outcome is not None and outcome.box_has_settings
    return provision.setup_options(launch.config, box_has_settings=box_has_settings)
