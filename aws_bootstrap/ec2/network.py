"""The VPC, and the security group that lets SSH in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from ..aws import explained, pages
from ..errors import AwsError, BootstrapError
from ..models import Network, SecurityGroup
from ..retry import poll
from . import tags
from .rules import authorize


def find_network(ec2: Any, subnet_id: str | None) -> Network:
    """The subnet asked for with its VPC, or the region's default VPC. BootstrapError where there is neither."""
    with explained():
        if subnet_id:
            subnet = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
            return Network(subnet["VpcId"], subnet_id)
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if vpcs:
            return Network(vpcs[0]["VpcId"])
    raise BootstrapError(
        f"There is no default VPC in {ec2.meta.region_name}.",
        hint="Name a public subnet with --subnet-id, or make one: aws ec2 create-default-vpc",
        code="no-default-vpc",
    )


@explained()
def find_security_groups(ec2: Any, name: str) -> list[SecurityGroup]:
    """The groups of that name in the region, one a VPC, with their ingress rules."""
    found = pages(ec2, "describe_security_groups", "SecurityGroups", Filters=[{"Name": "group-name", "Values": [name]}])
    return [SecurityGroup(r["GroupId"], r["VpcId"], frozenset(_rules(r.get("IpPermissions", [])))) for r in found]


def group_in(groups: Iterable[SecurityGroup], vpc_id: str) -> SecurityGroup | None:
    """The one of the groups that is in the VPC."""
    return next((group for group in groups if group.vpc_id == vpc_id), None)


def missing_cidrs(group: SecurityGroup | None, port: int, cidrs: Sequence[str]) -> tuple[str, ...]:
    """Those CIDRs that the group does not let in on the port."""
    rules = group.rules if group else frozenset()
    return tuple(cidr for cidr in cidrs if not any(_lets_in(rule, port, cidr) for rule in rules))


def ensure_security_group(ec2: Any, vpc_id: str, name: str) -> tuple[SecurityGroup, bool]:
    """The VPC's group of that name, and whether it was made now."""
    group = group_in(find_security_groups(ec2, name), vpc_id)
    return (group, False) if group else _create(ec2, vpc_id, name)


def ensure_let_in(ec2: Any, group: SecurityGroup, port: int, cidrs: Sequence[str], timeout: float = 15.0) -> None:
    """Have the group let the CIDRs in on the port. A group made a second ago may not be found at first."""

    def attempt() -> bool | None:
        try:
            for cidr in missing_cidrs(group, port, cidrs):
                authorize(ec2, group.group_id, port, [cidr])
        except AwsError as exc:
            if exc.aws_code != "InvalidGroup.NotFound":
                raise
            refusals.append(exc)
            return None
        return True

    refusals: list[AwsError] = []
    if not poll(attempt, timeout=timeout, every=1.0):
        raise refusals[-1]


def _create(ec2: Any, vpc_id: str, name: str) -> tuple[SecurityGroup, bool]:
    try:
        with explained():
            made = ec2.create_security_group(
                GroupName=name,
                Description="SSH access for aws-bootstrap",
                VpcId=vpc_id,
                TagSpecifications=[tags.specification("security-group", name)],
            )
            return SecurityGroup(made["GroupId"], vpc_id), True
    except AwsError as exc:
        if exc.aws_code != "InvalidGroup.Duplicate":
            raise
        group = group_in(find_security_groups(ec2, name), vpc_id)  # another launch was quicker
        if group is None:
            raise
        return group, False


def _rules(permissions: Iterable[dict[str, Any]]) -> Iterable[tuple[int, int, str]]:
    for p in permissions:
        if p.get("IpProtocol") == "-1":
            first, last = 0, 65535
        elif p.get("IpProtocol") == "tcp" and "FromPort" in p and "ToPort" in p:
            first, last = p["FromPort"], p["ToPort"]
        else:  # another protocol; or a reply that does not say which ports, which is no proof that ours is open
            continue
        named = [r.get("CidrIp") for r in p.get("IpRanges", [])] + [r.get("CidrIpv6") for r in p.get("Ipv6Ranges", [])]
        yield from ((first, last, cidr) for cidr in named if cidr)


def _lets_in(rule: tuple[int, int, str], port: int, cidr: str) -> bool:
    first, last, allowed = rule
    ours, theirs = ipaddress.ip_network(cidr), ipaddress.ip_network(allowed)
    return first <= port <= last and ours.version == theirs.version and ours.subnet_of(theirs)  # type: ignore[arg-type]
