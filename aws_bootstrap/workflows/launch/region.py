"""What an instance needs in its region before it can start: the key pair, and a group that lets the user in."""

from __future__ import annotations

from functools import partial
from typing import Any

from ... import ec2
from ...aws import together
from ...errors import Resource
from ...models import SecurityGroup
from ..unknown import note_nothing
from .plan import RegionPlan
from .state import Launch


def import_key(launch: Launch, where: RegionPlan | None = None) -> None:
    """Have the key under a name in a region's EC2, by default the first region's."""
    where = where or launch.plan.first
    region, name, key = where.region, launch.config.key_name, launch.key
    client = launch.app.aws.ec2(region)

    def find() -> tuple[str, bool] | None:
        pairs = ec2.find_key_pairs(client, name)
        found, is_missing = ec2.key_pair_for(pairs, name, key)
        return None if is_missing else (found, found not in {pair.name for pair in where.key_pairs})

    def note(outcome: tuple[str, bool]) -> None:
        launch.key_names[region], imported = outcome
        if imported:
            launch.made_beside.append(Resource("key-pair", launch.key_names[region], region, billing=False))

    ensure = partial(ec2.ensure_key_pair, client, name, key, where.key_pairs)
    launch.calls.make(f"the key pair in {region}", ensure, look=find, note=note)


def open_ssh_port(launch: Launch, where: RegionPlan | None = None) -> None:
    """Have a security group that lets the user in, in a region, by default the first."""
    where = where or launch.plan.first
    region, vpc_id, name = where.region, where.network.vpc_id, launch.config.security_group
    had_group = where.group is not None
    client = launch.app.aws.ec2(region)

    def find() -> tuple[SecurityGroup, bool] | None:
        group = ec2.group_in(ec2.find_security_groups(client, name), vpc_id)
        return None if group is None else (group, not had_group)

    def note(outcome: tuple[SecurityGroup, bool]) -> None:
        group, created = outcome
        launch.group_ids[region] = group.group_id
        if created:
            launch.made_beside.append(Resource("security-group", group.group_id, region, billing=False))

    ensure = partial(ec2.ensure_security_group, client, vpc_id, name)
    group, _ = launch.calls.make(f"the security group in {region}", ensure, look=find, note=note)
    _let_in(launch, client, group, region)


def _let_in(launch: Launch, client: Any, group: SecurityGroup, region: str) -> None:
    """Have the group let the user in on the SSH port."""
    port, cidrs = launch.config.ssh_port, launch.plan.cidrs

    def find() -> bool | None:
        groups = ec2.find_security_groups(client, launch.config.security_group)
        now = ec2.group_in(groups, group.vpc_id)
        return None if ec2.missing_cidrs(now, port, cidrs) else True

    ensure = partial(ec2.ensure_let_in, client, group, port, cidrs)
    launch.calls.make(f"the rules of the security group in {region}", ensure, look=find, note=note_nothing)


def prepare(launch: Launch, region: str) -> None:
    """Both, in a region that is tried for the first time."""
    if region in launch.key_names and region in launch.group_ids:
        return
    where = launch.plan.of(region)
    together(lambda: import_key(launch, where), lambda: open_ssh_port(launch, where))
