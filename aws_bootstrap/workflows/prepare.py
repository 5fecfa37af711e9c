"""What an instance needs in its region before it can start: the key pair, and a group that lets the user in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ec2
from ..aws import together
from .plan import RegionPlan

if TYPE_CHECKING:
    from .launch import Launch


def import_key(launch: Launch, where: RegionPlan | None = None) -> None:
    """Have the key under a name in a region's EC2, by default the first region's."""
    where = where or launch.plan.first
    client = launch.app.aws.ec2(where.region)
    name, imported = ec2.ensure_key_pair(client, launch.config.key_name, launch.key, where.key_pairs)
    launch.key_names[where.region] = name
    if imported:
        launch.made.append(("key-pair", name, where.region))


def open_ssh_port(launch: Launch, where: RegionPlan | None = None) -> None:
    """Have a security group that lets the user in, in a region, by default the first."""
    where, config = where or launch.plan.first, launch.config
    client = launch.app.aws.ec2(where.region)
    group, made = ec2.ensure_security_group(client, where.network.vpc_id, config.security_group)
    launch.group_ids[where.region] = group.group_id
    if made:
        launch.made.append(("security-group", group.group_id, where.region))
    ec2.ensure_let_in(client, group, config.ssh_port, launch.plan.cidrs)


def prepare(launch: Launch, region: str) -> None:
    """Both, in a region that is tried for the first time."""
    if region in launch.key_names and region in launch.group_ids:
        return
    where = launch.plan.of(region)
    together(lambda: import_key(launch, where), lambda: open_ssh_port(launch, where))
