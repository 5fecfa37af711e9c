"""Provide what an instance needs in its region: the key pair, and a security group that allows the user's CIDRs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError
from ...models import IngressRule, Resource, SecurityGroup
from ...parallel import run_parallel
from ..owners import is_of_another
from ..unknown import note_nothing
from .cluster_steps import ensure_shared
from .places import RegionPlan
from .state import Launch

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def ensure_key_pair(launch: Launch, region_plan: RegionPlan | None = None) -> None:
    """Import the SSH key into a region, by default the first, unless a key pair holds it. Note the key pair's name."""
    region_plan = region_plan or launch.plan.first
    region = region_plan.region
    earlier_pairs = region_plan.key_pairs
    name = launch.config.key_name
    key = launch.key
    client = launch.app.aws.ec2(region)

    def find() -> tuple[str, bool] | None:
        pairs = ec2.find_key_pairs(client, name)
        found, is_missing = ec2.key_pair_for(pairs, name, key)
        if is_missing:
            return None
        earlier_names = [pair.name for pair in earlier_pairs]
        return found, found not in earlier_names

    def note(outcome: tuple[str, bool]) -> None:
        key_name, imported = outcome
        launch.key_names[region] = key_name
        if imported:
            launch.other_resources.append(Resource("key-pair", key_name, region, billing=False))

    ensure = partial(ec2.ensure_key_pair, client, name, key, earlier_pairs, _shared_tags(launch))
    launch.calls.make(f"the key pair in {region}", ensure, look=find, note=note)


def ensure_security_group(launch: Launch, region_plan: RegionPlan | None = None) -> None:
    """Provide a security group with rules for the user's CIDRs in a region, by default the first. Note the group's id.

    The group is created if the plan has found none, and each rule that the plan has found missing is added.
    """
    region_plan = region_plan or launch.plan.first
    region = region_plan.region
    vpc_id = region_plan.network.vpc_id
    name = launch.config.security_group
    earlier_group = region_plan.group
    client = launch.app.aws.ec2(region)

    def find() -> tuple[SecurityGroup, bool] | None:
        group = ec2.group_in(ec2.find_security_groups(client, name), vpc_id)
        if group is None:
            return None
        return group, earlier_group is None

    def note(outcome: tuple[SecurityGroup, bool]) -> None:
        group, created = outcome
        launch.group_ids[region] = group.group_id
        if created:
            launch.other_resources.append(Resource("security-group", group.group_id, region, billing=False))

    ensure = partial(ec2.ensure_security_group, client, vpc_id, name, earlier_group, _shared_tags(launch))
    group, _ = launch.calls.make(f"the security group in {region}", ensure, look=find, note=note)
    _ensure_ingress(launch, client, group, region)


def _ensure_ingress(launch: Launch, client: EC2Client, group: SecurityGroup, region: str) -> None:
    """Add the missing rules that allow the user's CIDRs on the SSH port."""
    port = launch.config.ssh_port
    cidrs = launch.plan.cidrs
    _revoke_unneeded(launch, client, group, region)

    def find() -> bool | None:
        groups = ec2.find_security_groups(client, launch.config.security_group)
        current = ec2.group_in(groups, group.vpc_id)
        if ec2.missing_cidrs(current, port, cidrs):
            return None
        return True

    ensure = partial(ec2.ensure_ingress, client, group, port, cidrs, _shared_tags(launch))
    launch.calls.make(f"the rules of the security group in {region}", ensure, look=find, note=note_nothing)


def _shared_tags(launch: Launch) -> dict[str, str]:
    """Return the user's tags and the owner's, for what later launches use, too. Their names stay those of this tool."""
    shared_tags = launch.plan.tags
    shared_tags.pop("Name", None)
    return shared_tags


def _revoke_unneeded(launch: Launch, client: EC2Client, group: SecurityGroup, region: str) -> None:
    """Revoke the caller's rules for other addresses on the SSH port, unless a box that may be his is in the group.

    Otherwise the new box could be reached from every place where the caller has been. A failure is a warning.
    """
    port = launch.config.ssh_port
    others = {source for first, last, source in group.rules if first == last == port} - set(launch.plan.cidrs)
    if launch.plan.owner is None or not others:
        return

    def is_own(rule: IngressRule) -> bool:
        return rule.created_by_us and rule.owner == launch.plan.owner

    def unneeded() -> tuple[IngressRule, ...]:
        rules = ec2.find_rules(client, [group.group_id])
        _, surplus = ec2.rule_changes(group.group_id, port, launch.plan.cidrs, rules, is_own)
        return surplus

    def find() -> bool | None:
        return not unneeded() or None

    try:
        surplus = unneeded()
        if surplus and not _has_own_box(launch, client, group):
            revoke = partial(ec2.revoke, client, group.group_id, surplus)
            launch.calls.make(f"the old rules of {group.group_id}", revoke, look=find, note=note_nothing)
            sources = ", ".join(rule.source for rule in surplus)
            output.info(f"Revoked your rules of {group.group_id} for other addresses: {sources}")
    except BootstrapError as exc:
        message = f"Could not revoke the rules of {group.group_id} for your earlier addresses: {exc}"
        output.warn(message, code=exc.code, region=region)


def _has_own_box(launch: Launch, client: EC2Client, group: SecurityGroup) -> bool:
    """Return whether a box that may be the caller's is in the group: one without a recorded owner may be, too."""
    for instance in ec2.find_instances(client):
        if group.group_id in instance.group_ids and not is_of_another(instance.owner, launch.plan.owner):
            return True
    return False


def prepare_region(launch: Launch, region: str) -> None:
    """Provide key pair and security group in a region before its first attempt."""
    if region in launch.key_names and region in launch.group_ids:
        return
    region_plan = launch.plan.of(region)
    calls = [partial(ensure_key_pair, launch, region_plan), partial(ensure_security_group, launch, region_plan)]
    if launch.plan.cluster:
        calls.append(partial(ensure_shared, launch, region_plan))
    run_parallel(calls)
