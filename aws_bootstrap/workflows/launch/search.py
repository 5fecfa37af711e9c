"""Find room for the instance: the capacity policy's moves, carried out and told."""

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
    """Start the instance. CapacityError or QuotaError, with every region's reason, if there is no room."""
    config = launch.config
    policy = Policy(launch.plan.pairs, config.spot, config.wait_timeout if config.wait else None)
    search = Search(
        start=lambda attempt: _start(launch, attempt),
        ask_on_demand=lambda: _ask(launch),
        on_try=lambda attempt, tried: _tell_try(policy, attempt, tried),
        on_miss=lambda miss: _tell_miss(policy, miss),
        on_wait=_tell_wait,
    )
    instance, _ = capacity.acquire(policy, search)
    _tell_found(instance)


def _start(launch: Launch, attempt: Attempt) -> Instance:
    """Start the instances in this region, of this type and in this market; return the first."""
    pricing.check_price(launch.app, attempt, launch.config.max_price)
    launch.attempts.append(attempt)
    prepare(launch, attempt.region)
    request = _request(launch, attempt)
    client, client_once = launch.app.aws.ec2(attempt.region), launch.app.aws.ec2_once(attempt.region)
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
    """How to see and raise the quota that turned the attempt down: above what it is now, or AWS would refuse."""
    family = ec2.quota_family(attempt.instance_type)
    desired_value = 0
    if family:
        vcpus = launch.plan.of(attempt.region).types[attempt.instance_type].vcpus
        desired_value = quota.enough(launch.app, Kind(family, attempt.market), [attempt.region], vcpus)
    return capacity.quota_commands(attempt, desired_value, launch.app.access.program)


def _request(launch: Launch, attempt: Attempt) -> ec2.InstanceRequest:
    config, plan = launch.config, launch.plan
    where = plan.of(attempt.region)
    return ec2.InstanceRequest(
        image=where.images[attempt.instance_type],
        instance_type=attempt.instance_type,
        market=attempt.market,
        network=where.network,
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


def _ask(launch: Launch) -> bool:
    """Whether on-demand is agreed to. Under --max-price nobody is asked for what would be too dear."""
    limit = launch.config.max_price
    if limit is not None:
        prices = (pricing.on_demand(launch.app, *pair) for pair in launch.plan.pairs)
        if not any(price is not None and price <= limit for price in prices):
            return False
    output.live("")
    return launch.ask_on_demand(lambda: _question(launch))


def _question(launch: Launch) -> str:
    region, kind = launch.plan.pairs[0]
    price = pricing.on_demand(launch.app, region, kind)
    told = f" at about ${price:.3f} an hour" if price else ""
    return f"There is no {kind} on spot in {region} just now. Launch on-demand{told}?"


def _tell_try(policy: Policy, attempt: Attempt, tried: Tried) -> None:
    what = f"{attempt.instance_type} {attempt.market} in {attempt.region}"
    if policy.wait_timeout is not None:
        output.live(f"Sweep {tried.sweep + 1}, {tried.elapsed:.0f} s: trying {what}")
    elif len(policy.pairs) > 1:
        output.info(f"Trying {what}")


def _tell_miss(policy: Policy, miss: Miss) -> None:
    """Quota is told at once, with its commands; a missing capacity only where no live line tells it."""
    attempt = miss.attempt
    if miss.kind != "capacity" or policy.wait_timeout is None:
        what = f"{attempt.region} {attempt.instance_type} {attempt.market}: {miss.error}"
        output.warn(what, code=miss.error.code, region=attempt.region)
    if miss.kind == "quota" and miss.error.hint:
        output.echo(miss.error.hint)


def _tell_wait(seconds: float, tried: Tried) -> None:
    output.live(f"Sweep {tried.sweep + 1} found no room after {tried.elapsed:.0f} s; next in {seconds:.0f} s")


def _tell_found(instance: Instance) -> None:
    output.live("")
    where = f"{instance.instance_type} {instance.lifecycle} in {instance.availability_zone or instance.region}"
    output.val("Instance", f"{instance.instance_id} ({where})")
