"""The VPC, and the security group that allows SSH."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import CREATED_BY, TAG_CLUSTER, TAG_CREATED_BY, TAG_OWNER
from ..errors import AwsError, BootstrapError
from ..invocation import PROFILE
from ..models import Network, SecurityGroup, Subnet
from ..retry import poll
from . import tags
from .rules import WORLD, authorize

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, IpPermissionOutputTypeDef, SecurityGroupTypeDef


def find_network(ec2: EC2Client, subnet_ids: Sequence[str]) -> Network:
    """Return those of the subnets that the region has, with their VPC; without any, the region's default VPC.

    BootstrapError if nothing of this exists, or if the subnets are in several VPCs.
    """
    if subnet_ids:
        return _network_of(ec2, subnet_ids)
    with translate_aws_errors():
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if vpcs:
            return Network(vpcs[0]["VpcId"])
    raise BootstrapError(
        f"There is no default VPC in {ec2.meta.region_name}.",
        hint="Name a public subnet with --subnet-id, or create a default VPC: "
        f"aws ec2 create-default-vpc{PROFILE} --region {ec2.meta.region_name}",
        code="no-default-vpc",
    )


def _network_of(ec2: EC2Client, subnet_ids: Sequence[str]) -> Network:
    """Return those of the subnets that the region has, in this order, with their VPC."""
    found: dict[str, Subnet] = {}
    vpc_ids: set[str] = set()
    # A filter, since EC2 refuses all ids for one that it does not know: another region's.
    with translate_aws_errors():
        for raw in ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(subnet_ids)}])["Subnets"]:
            found[raw["SubnetId"]] = Subnet(raw["SubnetId"], raw.get("AvailabilityZone", ""))
            vpc_ids.add(raw["VpcId"])
    if not found:
        raise BootstrapError(
            f"There is no subnet {' or '.join(subnet_ids)} in {ec2.meta.region_name}.",
            hint=f"List your subnets: aws ec2 describe-subnets{PROFILE} --region {ec2.meta.region_name}",
            code="not-found",
        )
    if len(vpc_ids) > 1:
        raise BootstrapError(
            f"The subnets {', '.join(found)} are in different VPCs.",
            hint="Pass only --subnet-id options of one VPC in a region.",
            code="usage",
        )
    return Network(vpc_ids.pop(), tuple(found[subnet_id] for subnet_id in subnet_ids if subnet_id in found))


@translate_aws_errors()
def find_security_groups(ec2: EC2Client, name: str) -> list[SecurityGroup]:
    """Return the groups of that name in the region, one a VPC, with their ingress rules."""
    return security_groups(ec2, [{"Name": "group-name", "Values": [name]}])


@translate_aws_errors()
def get_security_groups(ec2: EC2Client, group_ids: Iterable[str]) -> list[SecurityGroup]:
    """Return the groups of these ids; unknown ids are left out."""
    return security_groups(ec2, [{"Name": "group-id", "Values": sorted(group_ids)}])


@translate_aws_errors()
def security_groups(ec2: EC2Client, filters: list[FilterTypeDef]) -> list[SecurityGroup]:
    """Return the groups that DescribeSecurityGroups finds by these filters, with their ingress rules."""
    found: list[SecurityGroup] = []
    for page in ec2.get_paginator("describe_security_groups").paginate(Filters=filters):
        for raw in page["SecurityGroups"]:
            found.append(_group(raw))
    return found


def group_in(groups: Iterable[SecurityGroup], vpc_id: str) -> SecurityGroup | None:
    """Return the one of the groups that is in the VPC."""
    for group in groups:
        if group.vpc_id == vpc_id:
            return group
    return None


def world_sources(group: SecurityGroup | None, port: int) -> tuple[str, ...]:
    """Return by which of its CIDRs the group allows the whole internet on the port."""
    if group is None:
        return ()
    found: set[str] = set()
    for first, last, source in group.rules:
        if source in WORLD and first <= port <= last:
            found.add(source)
    return tuple(sorted(found))


def missing_cidrs(group: SecurityGroup | None, port: int, cidrs: Sequence[str]) -> tuple[str, ...]:
    """Return those CIDRs that the group does not allow on the port."""
    if group is None:
        return tuple(cidrs)
    return tuple(cidr for cidr in cidrs if not _is_allowed(group, port, cidr))


def ensure_security_group(
    ec2: EC2Client,
    vpc_id: str,
    name: str,
    found: SecurityGroup | None,
    user_tags: Mapping[str, str] | None = None,
    *,
    description: str = "SSH access for aws-bootstrap",
) -> tuple[SecurityGroup, bool]:
    """Create the VPC's group of that name unless it was found before. Return it, and whether it was created now."""
    if found:
        return found, False
    return _create(ec2, vpc_id, name, user_tags, description)


def ensure_ingress(
    ec2: EC2Client,
    group: SecurityGroup,
    port: int,
    cidrs: Sequence[str],
    user_tags: Mapping[str, str] | None = None,
    *,
    timeout: float = 15.0,
) -> None:
    """Add the rules that the group lacks to allow the CIDRs on the port.

    A group that was created a second ago may not be found at first.
    """

    def attempt() -> bool | None:
        try:
            for cidr in missing_cidrs(group, port, cidrs):
                authorize(ec2, group.group_id, port, [cidr], user_tags)
        except AwsError as exc:
            if exc.aws_code != "InvalidGroup.NotFound":
                raise
            refusals.append(exc)
            return None
        return True

    refusals: list[AwsError] = []
    if not poll(attempt, timeout=timeout, every=1.0):
        raise refusals[-1]


def _create(
    ec2: EC2Client, vpc_id: str, name: str, user_tags: Mapping[str, str] | None, description: str
) -> tuple[SecurityGroup, bool]:
    """Create the group; return it, and True. Where another launch was quicker, return that one's group, and False."""
    try:
        with translate_aws_errors():
            created = ec2.create_security_group(
                GroupName=name,
                Description=description,
                VpcId=vpc_id,
                TagSpecifications=[tags.specification("security-group", name, user_tags)],
            )
            return SecurityGroup(created["GroupId"], vpc_id), True
    except AwsError as exc:
        if exc.aws_code != "InvalidGroup.Duplicate":
            raise
        group = group_in(find_security_groups(ec2, name), vpc_id)  # another launch was quicker
        if group is None:
            raise
        return group, False


def _group(raw: SecurityGroupTypeDef) -> SecurityGroup:
    """Return the security group of a reply."""
    rules: set[tuple[int, int, str]] = set()
    for permission in raw.get("IpPermissions", []):
        ports = _ports(permission)
        if ports is None:
            continue
        first, last = ports
        for cidr in _cidrs(permission):
            rules.add((first, last, cidr))
    named = tags.values(raw.get("Tags", []))
    return SecurityGroup(
        raw["GroupId"],
        raw["VpcId"],
        frozenset(rules),
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        owner=named.get(TAG_OWNER),
        cluster=named.get(TAG_CLUSTER),
        allows_itself=_allows_itself(raw),
    )


def _allows_itself(raw: SecurityGroupTypeDef) -> bool:
    """Return whether the group has a rule for all traffic from itself."""
    for permission in raw.get("IpPermissions", []):
        sources = [pair.get("GroupId") for pair in permission.get("UserIdGroupPairs", [])]
        if permission.get("IpProtocol") == "-1" and raw["GroupId"] in sources:
            return True
    return False


def _ports(permission: IpPermissionOutputTypeDef) -> tuple[int, int] | None:
    """Return the first and last TCP port that the permission is about.

    None for another protocol, and for a reply that names no ports, which is no proof that the SSH port is open.
    """
    protocol = permission.get("IpProtocol")
    if protocol == "-1":
        return 0, 65535
    if protocol == "tcp" and "FromPort" in permission and "ToPort" in permission:
        return permission["FromPort"], permission["ToPort"]
    return None


def _cidrs(permission: IpPermissionOutputTypeDef) -> list[str]:
    """Return the CIDRs that the permission names."""
    named: list[str | None] = []
    for ipv4_range in permission.get("IpRanges", []):
        named.append(ipv4_range.get("CidrIp"))
    for ipv6_range in permission.get("Ipv6Ranges", []):
        named.append(ipv6_range.get("CidrIpv6"))
    return [cidr for cidr in named if cidr]


def _is_allowed(group: SecurityGroup, port: int, cidr: str) -> bool:
    """Return whether one of the group's rules allows the whole CIDR on the port."""
    return any(_allows(rule, port, cidr) for rule in group.rules)


def _allows(rule: tuple[int, int, str], port: int, cidr: str) -> bool:
    """Return whether the rule allows the whole CIDR on the port."""
    first, last, allowed = rule
    network = ipaddress.ip_network(cidr)
    allowed_network = ipaddress.ip_network(allowed)
    if not first <= port <= last:
        return False
    if network.version != allowed_network.version:
        return False
    return network.subnet_of(allowed_network)  # type: ignore[arg-type]
