"""Find capacity for the instance: run the attempts that the capacity policy chooses, and report them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from ... import cloud_init, ec2, guardian, output
from ...errors import CapacityError, QuotaError
from ...guardian import Limits
from ...models import Image, Instance, OnDemandOffer, Prices, TypePrice
from . import capacity, limits, named, pricing, quota_error, settings
from .capacity import Attempt, FailedAttempt, Policy, SearchHooks, SearchState
from .cluster_steps import check_unchanged
from .plan import LaunchPlan
from .region import prepare_region
from .state import INSTANCE, Launch, Node


def acquire_instance(launch: Launch) -> None:
    """Start the instance.

    Raises CapacityError, QuotaError or AwsError, with the reason of each attempt, if every attempt fails.
    """
    policy = _policy(launch)
    hooks = SearchHooks(
        start=partial(_start, launch),
        ask_on_demand=partial(_accepts_on_demand, launch),
        on_attempt=partial(_report_attempt, policy),
        on_failure=partial(_warn_failed_attempt, policy),
        on_wait=_report_wait,
    )
    capacity.acquire(policy, hooks)
    output.live("")
    for node in launch.to_start:
        _report_instance(node)


def _policy(launch: Launch) -> Policy:
    """Return what this launch may attempt, and for how long."""
    config = launch.config
    wait_timeout = None
    if config.wait:
        wait_timeout = config.wait_timeout
    fits = any(_is_on_demand_within_limit(launch, *pair) for pair in launch.plan.pairs)
    subnet_ids = {region_plan.region: region_plan.subnet_ids for region_plan in launch.plan.regions}
    return Policy(
        pairs=launch.plan.pairs,
        spot=config.spot,
        wait_timeout=wait_timeout,
        subnet_ids=subnet_ids,
        zone=launch.plan.zone,
        on_demand_fits=fits,
        on_demand_pairs=launch.plan.pairs_in("on-demand"),
    )


def _start(launch: Launch, attempt: Attempt) -> Instance:
    """Start the attempt's instances, and return the first of them."""
    current_prices = _prices(launch, attempt)
    pricing.check_price(attempt, current_prices, launch.config.max_price)
    box_limits = limits.limits_of(launch.plan, attempt, current_prices)
    launch.attempts.append(attempt)
    prepare_region(launch, attempt.region)
    _check_name(launch)
    if launch.plan.cluster:
        check_unchanged(launch, attempt.region)
    request = _request(launch, attempt, box_limits)
    client = launch.app.aws.ec2(attempt.region)
    client_once = launch.app.aws.ec2_once(attempt.region)
    count = len(launch.to_start)

    def look() -> list[Instance] | None:
        return ec2.find_by_token(client, request.client_token) or None

    def note(instances: list[Instance]) -> None:
        for node, instance in zip(launch.to_start, instances, strict=False):
            node.instance = instance

    start = partial(ec2.start_instances, client_once, request, count)
    try:
        started = launch.calls.make(INSTANCE, start, look=look, note=note)
    except QuotaError as exc:
        vcpus = launch.plan.of(attempt.region).types[attempt.instance_type].vcpus
        raise quota_error.explained(launch.app, attempt, vcpus * count, exc) from exc
    except CapacityError as exc:
        raise pricing.with_enough(exc, attempt) from exc
    launch.nodes = [node for node in launch.nodes if node.instance]
    return started[0]


def _check_name(launch: Launch) -> None:
    """Raise BoxExists if a box has got the launch's name meanwhile."""
    name = launch.config.name
    if name is None:
        return
    regions = [region_plan.region for region_plan in launch.plan.regions]
    instance = named.find_box(launch.app, name, regions)
    if instance:
        raise named.BoxExists(instance)


def _prices(launch: Launch, attempt: Attempt) -> Prices:
    """Return the prices that the attempt is held to: read again only for an option that limits the cost."""
    config = launch.config
    if config.max_price is None and config.max_cost is None:
        return launch.plan.prices
    return pricing.current_prices(launch.app, attempt, launch.plan.prices)


def _request(launch: Launch, attempt: Attempt, box_limits: Limits) -> ec2.InstanceRequest:
    """Return the attempt as a request to EC2."""
    config = launch.config
    plan = launch.plan
    region_plan = plan.of(attempt.region)
    image = region_plan.images[attempt.instance_type]
    user_tags = plan.tags
    if config.name:
        user_tags["Name"] = config.name
    request = ec2.InstanceRequest(
        image=image,
        instance_type=attempt.instance_type,
        market=attempt.market,
        group_id=launch.group_ids[attempt.region],
        key_name=launch.key_names[attempt.region],
        client_token=str(uuid4()),
        volume_size=config.volume_size,
        metadata_hop_limit=config.metadata_hop_limit,
        max_price=config.max_price,
        subnet_id=attempt.subnet_id,
        availability_zone=plan.zone,
        user_data=_user_data(plan, image, box_limits),
        user_tags=user_tags,
        instance_tags=limits.tags_of(box_limits) | ec2.settings_tags(settings.line_of(plan)),
    )
    if plan.cluster is None:
        return request
    return _of_cluster(launch, request, attempt)


def _of_cluster(launch: Launch, request: ec2.InstanceRequest, attempt: Attempt) -> ec2.InstanceRequest:
    """Return the request for the missing nodes of a cluster: in its groups, and with the tags of their ranks."""
    cluster = launch.cluster
    placement_group = None
    if cluster.supports_placement(launch.plan.of(attempt.region).types[attempt.instance_type]):
        placement_group = launch.placement_groups.get(attempt.region)
    ranks = [node.rank or 0 for node in launch.to_start]
    user_tags = dict(request.user_tags)
    user_tags["Name"] = f"aws-{cluster.cluster_id}"
    return replace(
        request,
        cluster_group_id=launch.cluster_group_ids[attempt.region],
        placement_group=placement_group,
        least=min(cluster.least_to_start, len(ranks)),
        user_tags=user_tags,
        instance_tags={**request.instance_tags, **ec2.rank_tags(cluster.cluster_id, ranks)},
    )


def _user_data(plan: LaunchPlan, image: Image, box_limits: Limits) -> bytes | None:
    """Return the cloud-init user data: what must hold on the box even if nobody ever logs in."""
    ssh_port = plan.config.ssh_port
    watch = guardian.part(box_limits, user=plan.user(image), ssh_port=ssh_port)
    return cloud_init.user_data([cloud_init.ssh_port(ssh_port), watch])


def _accepts_on_demand(launch: Launch, attempts: Sequence[Attempt]) -> bool:
    """Return whether the user accepts these attempts. Those above --max-price are not offered, since they are skipped.

    Without any other, no question is put.
    """
    offered: list[TypePrice] = []
    for region, instance_type in dict.fromkeys((attempt.region, attempt.instance_type) for attempt in attempts):
        if _is_on_demand_within_limit(launch, region, instance_type):
            offered.append(launch.plan.price_of(region, instance_type))
    if not offered:
        return False
    output.live("")
    return launch.ask_on_demand(OnDemandOffer(tuple(offered), launch.plan.monthly_costs, launch.plan.count))


def _is_on_demand_within_limit(launch: Launch, region: str, instance_type: str) -> bool:
    """Return whether the pair costs no more than --max-price on-demand: an unknown price may cost more."""
    limit = launch.config.max_price
    if limit is None:
        return True
    price = launch.plan.price_of(region, instance_type).on_demand_price_per_hour
    return price is not None and price <= limit


def _report_attempt(policy: Policy, attempt: Attempt, state: SearchState) -> None:
    """Report the attempt: on the live line while waiting, otherwise only if there are several pairs."""
    if policy.wait_timeout is not None:
        output.live(f"Sweep {state.sweep + 1}, {state.elapsed:.0f} s: trying {attempt.description}")
    elif len(policy.attempts(attempt.market)) > 1:
        output.info(f"Trying {attempt.description}")


def _warn_failed_attempt(policy: Policy, failed: FailedAttempt) -> None:
    """Warn of a failed attempt, and print the commands for a quota.

    Missing capacity is no warning while the live line reports the search. What is waited for besides it is one, once.
    """
    attempt = failed.attempt
    is_first = failed.waits and failed.sweep == 0
    if failed.cause != "capacity" or policy.wait_timeout is None or is_first:
        message = f"Could not launch {attempt.description}: {failed.error}"
        output.warn(message, code=failed.error.code, region=attempt.region)
    if failed.cause == "quota" and failed.error.hint:
        output.echo(failed.error.hint)


def _report_wait(seconds: float, state: SearchState) -> None:
    """Report the pause on the live line."""
    so_far = f"Sweep {state.sweep + 1} found no capacity after {state.elapsed:.0f} s."
    output.live(f"{so_far} The next one starts in {seconds:.0f} s.")


def _report_instance(node: Node) -> None:
    """Report an instance that was started."""
    instance = node.instance
    if instance is None:
        return
    place = instance.availability_zone or instance.region
    details = f"{instance.instance_type} {instance.lifecycle} in {place}"
    name = "Instance" if node.rank is None else f"Rank {node.rank}"
    output.val(name, f"{instance.instance_id} ({details})")
