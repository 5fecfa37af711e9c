"""Launch a box: plan it by reading, then apply the plan step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ... import ec2, output
from ...config import LaunchConfig
from ...invocation import PROGRAM
from ...models import ClusterLaunchReport, LaunchReport, OnDemandOffer
from ..steps import run_steps, titles
from . import named
from .cluster_plan import ClusterPlan
from .cluster_report import cluster_report
from .failure import launch_error
from .plan import LaunchPlan, build_plan
from .report import report
from .running import warn_of_running
from .state import Launch
from .steps import STEPS

if TYPE_CHECKING:
    from ...app import App


def plan(config: LaunchConfig, app: App, cluster: ClusterPlan | None = None) -> LaunchPlan:
    """Return what `apply` would do, or `apply_cluster` for a cluster. Change nothing."""
    with output.working("Read images, instance types, prices and networks", in_logs=False):
        bare_plan = build_plan(config, app, cluster)
    running = bare_plan.running
    if cluster:
        running = tuple(instance for instance in running if instance.cluster != cluster.cluster_id)
    warn_of_running(app, running, caller=bare_plan.owner)
    _warn_of_open_groups(bare_plan)
    return replace(bare_plan, steps=titles(STEPS, bare_plan))


def find_existing(config: LaunchConfig, app: App) -> LaunchReport | None:
    """Return the box that has the launch's name already as its result; None without a name or such a box."""
    if config.name is None:
        return None
    instance = named.find_box(app, config.name, config.region or (app.aws.region,))
    if instance is None:
        return None
    return named.existing(app, config, instance)


def apply(plan: LaunchPlan, app: App, ask_on_demand: Callable[[OnDemandOffer], bool]) -> LaunchReport:
    """Launch the box as planned, and return the report.

    If the launch breaks, raise an error that lists what exists, how to continue and how to undo it.
    """
    launch = Launch(plan, app, ask_on_demand, plan.key)
    try:
        _run(launch)
    except named.BoxExists as exc:
        return named.existing(app, plan.config, exc.instance)
    return report(launch)


def apply_cluster(plan: LaunchPlan, app: App, ask_on_demand: Callable[[OnDemandOffer], bool]) -> ClusterLaunchReport:
    """Launch the missing nodes of the cluster as planned, set all of them up, and return the report.

    Errors are those of `apply`.
    """
    launch = Launch(plan, app, ask_on_demand, plan.key)
    _run(launch)
    return cluster_report(launch)


def _run(launch: Launch) -> None:
    """Run the steps of a launch. If it breaks, raise an error that lists what exists."""
    plan = launch.plan
    _warn_of_skipped(plan)
    _warn_of_unknown_owner(plan)
    try:
        run_steps(STEPS, plan, launch)
    except named.BoxExists:
        raise
    except (Exception, KeyboardInterrupt) as exc:
        raise launch_error(launch, exc) from exc


def _warn_of_open_groups(plan: LaunchPlan) -> None:
    """Warn of each security group whose SSH port the whole internet reaches, unless --ssh-cidr requests that."""
    port = plan.config.ssh_port
    for region_plan in plan.regions:
        group = region_plan.group
        sources = [source for source in ec2.world_sources(group, port) if source not in plan.cidrs]
        if group is None or not sources:
            continue
        fix = f"See how to close it: {PROGRAM} access --region {region_plan.region}"
        if group.created_by_us:
            fix = f"Close it once the box runs: {PROGRAM} access --ssh-cidr me --region {region_plan.region}"
        what = f"The whole internet ({', '.join(sources)}) reaches port {port} by the security group {group.group_id}"
        output.warn(f"{what} in {region_plan.region}. {fix}", code="open-to-world", region=region_plan.region)


def _warn_of_unknown_owner(plan: LaunchPlan) -> None:
    """Warn that what the launch creates has no owner: later commands act on it only by its name."""
    if plan.owner is None:
        message = "The box will have no owner, since STS does not say who you are. Later, end it by its name."
        output.warn(message, code="owner-unknown")


def _warn_of_skipped(plan: LaunchPlan) -> None:
    """Warn of the regions that the launch skips, and of the types that a region does not offer."""
    for failure in plan.regions_failed:
        message = f"The launch skips {failure.region}: {failure.error}"
        output.warn(message, code="region-failed", region=failure.region)
    for region_plan in plan.regions:
        missing = [name for name in plan.config.instance_type if name not in region_plan.types]
        if missing:
            message = f"The region {region_plan.region} does not offer {' or '.join(missing)}."
            output.warn(message, code="bad-instance-type", region=region_plan.region)
