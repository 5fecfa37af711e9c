"""Find capacity for the instance: the capacity policy's moves, carried out and reported."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from ... import ec2, output
from ...errors import QuotaError
from ...models import Instance
from ...quota import Kind
from .. import quota
from . import capacity, pricing
from .capacity import Attempt, Miss, Policy, Search, Tried
from .region import prepare
from .state import INSTANCE, Launch


def find_room(launch: Launch) -> None:
    """Start the instance. CapacityError or QuotaError, with every region's reason, if there is no capacity."""
    policy = _policy(launch)
    search = Search(
        start=partial(_start, launch),
        ask_on_demand=partial(_accept_on_demand, launch),
        on_try=partial(_report_attempt, policy),
        on_miss=partial(_warn_failed_attempt, policy),
        on_wait=_report_wait,
    )
    instance, _ = capacity.acquire(policy, search)
    _report_instance(instance)


def _policy(launch: Launch) -> Policy:
    """Return what this launch may try, and for how long."""
    config = launch.config
    wait_timeout = None
    if config.wait:
        wait_timeout = config.wait_timeout
    return Policy(launch.plan.pairs, config.spot, wait_timeout)


def _start(launch: Launch, attempt: Attempt) -> Instance:
    """Start the instances in this region, of this type and in this market; return the first."""
    pricing.check_price(launch.app, attempt, launch.config.max_price)
    launch.attempts.append(attempt)
    prepare(launch, attempt.region)
    request = _request(launch, attempt)
    client = launch.app.aws.ec2(attempt.region)
    client_once = launch.app.aws.ec2_once(attempt.region)
    count = len(launch.nodes)

    def look() -> list[Instance] | None:
        return ec2.find_by_token(client, request.client_token) or None

    def note(instances: list[Instance]) -> None:
        for node, instance in zip(launch.nodes, instances, strict=False):
            node.instance = instance

    start = partial(ec2.start_instances, client_once, request, count)
    try:
        started = launch.calls.make(INSTANCE, start, look=look, note=note)
    except QuotaError as exc:
        raise exc.with_facts(hint=_quota_hint(launch, attempt)) from exc
    return started[0]


def _quota_hint(launch: Launch, attempt: Attempt) -> str:
    """Return the commands that show and raise the quota that turned the attempt down.

    The value to ask for is above what it is now, or AWS would refuse.
    """
    family = ec2.quota_family(attempt.instance_type)
    desired_value = 0
    if family:
        instance_type = launch.plan.of(attempt.region).types[attempt.instance_type]
        quota_kind = Kind(family, attempt.market)
        desired_value = quota.value_to_request(launch.app, quota_kind, [attempt.region], instance_type.vcpus)
    return capacity.quota_commands(attempt, desired_value)


def _request(launch: Launch, attempt: Attempt) -> ec2.InstanceRequest:
    """Return the attempt as a request to EC2."""
    config = launch.config
    plan = launch.plan
    region_plan = plan.of(attempt.region)
    return ec2.InstanceRequest(
        image=region_plan.images[attempt.instance_type],
        instance_type=attempt.instance_type,
        market=attempt.market,
        network=region_plan.network,
        group_id=launch.group_ids[attempt.region],
        key_name=launch.key_names[attempt.region],
        client_token=str(uuid4()),
        volume_size=config.volume_size,
        metadata_hop_limit=config.metadata_hop_limit,
        max_price=config.max_price,
        availability_zone=plan.zone,
        user_data=plan.user_data,
        user_tags=config.tag,
    )


def _accept_on_demand(launch: Launch) -> bool:
    """Return whether on-demand is agreed to. Under --max-price nobody is asked about what would be too dear."""
    limit = launch.config.max_price
    if limit is not None and not _is_on_demand_within(launch, limit):
        return False
    output.live("")
    return launch.ask_on_demand(partial(_question, launch))


def _is_on_demand_within(launch: Launch, limit: float) -> bool:
    """Return whether one of the pairs costs no more than the limit. Those after the first such are not looked up."""
    for region, instance_type in launch.plan.pairs:
        price = pricing.on_demand(launch.app, region, instance_type)
        if price is not None and price <= limit:
            return True
    return False


def _question(launch: Launch) -> str:
    """Return the question whether to take on-demand, with its price where it is known."""
    region, instance_type = launch.plan.pairs[0]
    price = pricing.on_demand(launch.app, region, instance_type)
    cost = ""
    if price:
        cost = f" at about ${price:.3f} an hour"
    return f"There is no {instance_type} on spot in {region} just now. Launch on-demand{cost}?"


def _report_attempt(policy: Policy, attempt: Attempt, tried: Tried) -> None:
    """Report what is tried: on the live line while waiting; else only where there is more than one thing to try."""
    what = f"{attempt.instance_type} {attempt.market} in {attempt.region}"
    if policy.wait_timeout is not None:
        output.live(f"Sweep {tried.sweep + 1}, {tried.elapsed:.0f} s: trying {what}")
    elif len(policy.pairs) > 1:
        output.info(f"Trying {what}")


def _warn_failed_attempt(policy: Policy, miss: Miss) -> None:
    """Warn of a quota at once, with its commands; of missing capacity only where no live line reports it."""
    attempt = miss.attempt
    if miss.kind != "capacity" or policy.wait_timeout is None:
        what = f"{attempt.region} {attempt.instance_type} {attempt.market}: {miss.error}"
        output.warn(what, code=miss.error.code, region=attempt.region)
    if miss.kind == "quota" and miss.error.hint:
        output.echo(miss.error.hint)


def _report_wait(seconds: float, tried: Tried) -> None:
    """Report the pause on the live line."""
    output.live(f"Sweep {tried.sweep + 1} found no room after {tried.elapsed:.0f} s; next in {seconds:.0f} s")


def _report_instance(instance: Instance) -> None:
    """Report the instance that was started."""
    output.live("")
    place = instance.availability_zone or instance.region
    what = f"{instance.instance_type} {instance.lifecycle} in {place}"
    output.val("Instance", f"{instance.instance_id} ({what})")
