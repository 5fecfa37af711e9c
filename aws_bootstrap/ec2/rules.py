"""The ingress rules of security groups, one by one: who created them, and how those of this tool are replaced."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..config import CREATED_BY, TAG_CREATED_BY, TAG_OWNER
from ..errors import AwsError
from ..models import IngressRule
from . import tags

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import (
        FilterTypeDef,
        IpPermissionTypeDef,
        IpRangeTypeDef,
        Ipv6RangeTypeDef,
        SecurityGroupRuleTypeDef,
    )

_ALL_PROTOCOLS = "-1"
#: The CIDRs of the whole internet.
WORLD = ("0.0.0.0/0", "::/0")
_RULE_NOT_FOUND = ("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound")


@translate_aws_errors()
def find_rules(ec2: EC2Client, group_ids: Iterable[str]) -> list[IngressRule]:
    """Return every rule of these groups that allows TCP traffic."""
    ids = sorted(set(group_ids))
    if not ids:
        return []
    filters: list[FilterTypeDef] = [{"Name": "group-id", "Values": ids}]
    rules: list[IngressRule] = []
    for page in ec2.get_paginator("describe_security_group_rules").paginate(Filters=filters):
        for raw in page["SecurityGroupRules"]:
            if raw.get("IsEgress"):
                continue
            if _protocol(raw) in ("tcp", _ALL_PROTOCOLS):
                rules.append(_rule(raw))
    return rules


def covers_port(rule: IngressRule, port: int) -> bool:
    """Return whether the rule applies to this port."""
    return rule.first_port <= port <= rule.last_port


def allows(rules: Iterable[IngressRule], address: str) -> bool | None:
    """Return whether one of the rules allows this address; None if only prefix lists or other groups could."""
    ip_address = ipaddress.ip_address(address)
    is_unknown = False
    for rule in rules:
        if rule.is_within_cluster:
            continue
        if "/" not in rule.source:
            is_unknown = True
        elif ip_address in ipaddress.ip_network(rule.source):
            return True
    if is_unknown:
        return None
    return False


def is_managed(rule: IngressRule) -> bool:
    """Return whether this tool created the rule, for whomever."""
    return rule.created_by_us


def rule_changes(
    group_id: str,
    port: int,
    cidrs: Sequence[str],
    rules: Iterable[IngressRule],
    is_replaceable: Callable[[IngressRule], bool] = is_managed,
) -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
    """Return the CIDRs to authorize and the rules to revoke, so that the replaceable rules allow these CIDRs alone.

    `rules` are the existing ones. Those for other ports and of other groups stay.
    """
    own_port = [rule for rule in rules if rule.group_id == group_id and _is_for(rule, port)]
    authorized = {rule.source for rule in own_port}
    missing = [cidr for cidr in cidrs if cidr not in authorized]
    surplus: list[IngressRule] = []
    for rule in own_port:
        if is_replaceable(rule) and rule.source not in cidrs:
            surplus.append(rule)
    return tuple(missing), tuple(surplus)


def _is_for(rule: IngressRule, port: int) -> bool:
    """Return whether the rule applies to this port and no other."""
    return rule.first_port == port and rule.last_port == port


def revoke(ec2: EC2Client, group_id: str, rules: Sequence[IngressRule]) -> None:
    """Remove these rules of the group; one that no longer exists is no error."""
    rule_ids = [rule.rule_id for rule in rules]
    try:
        with translate_aws_errors():
            ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=rule_ids)
    except AwsError as exc:
        if exc.aws_code not in _RULE_NOT_FOUND:
            raise
        if len(rules) > 1:  # EC2 refuses them all for one that no longer exists
            for rule in rules:
                revoke(ec2, group_id, [rule])


def authorize(
    ec2: EC2Client, group_id: str, port: int, cidrs: Sequence[str], user_tags: Mapping[str, str] | None = None
) -> None:
    """Allow the CIDRs on the port, by rules that carry this tool's tag; one that exists already is no error."""
    permission = _permission(port, cidrs)
    try:
        with translate_aws_errors():
            ec2.authorize_security_group_ingress(
                GroupId=group_id,
                IpPermissions=[permission],
                TagSpecifications=[tags.specification("security-group-rule", f"ssh-{port}", user_tags)],
            )
    except AwsError as exc:
        if exc.aws_code != "InvalidPermission.Duplicate":
            raise
        if len(cidrs) > 1:  # EC2 refuses them all for one that exists already
            for cidr in cidrs:
                authorize(ec2, group_id, port, [cidr], user_tags)


def _permission(port: int, cidrs: Sequence[str]) -> IpPermissionTypeDef:
    """Return the CIDRs and the port in the form of a request."""
    ipv4: list[IpRangeTypeDef] = []
    ipv6: list[Ipv6RangeTypeDef] = []
    for cidr in cidrs:
        if ":" in cidr:
            ipv6.append({"CidrIpv6": cidr, "Description": "aws-bootstrap"})
        else:
            ipv4.append({"CidrIp": cidr, "Description": "aws-bootstrap"})
    permission: IpPermissionTypeDef = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    if ipv4:
        permission["IpRanges"] = ipv4
    if ipv6:
        permission["Ipv6Ranges"] = ipv6
    return permission


def _protocol(raw: SecurityGroupRuleTypeDef) -> str:
    """Return the rule's protocol; all of them if the reply names none."""
    return raw.get("IpProtocol", _ALL_PROTOCOLS)


def _rule(raw: SecurityGroupRuleTypeDef) -> IngressRule:
    """Return the rule of a reply. A limit that is missing counts as none: no rule may look narrower than it is."""
    first_port, last_port = _port_range(raw)
    named = tags.values(raw.get("Tags", []))
    return IngressRule(
        rule_id=raw["SecurityGroupRuleId"],
        group_id=raw["GroupId"],
        first_port=first_port,
        last_port=last_port,
        source=_source(raw),
        created_by_us=named.get(TAG_CREATED_BY) == CREATED_BY,
        description=raw.get("Description") or None,
        owner=named.get(TAG_OWNER),
        user_tags=tags.of_user(named),
    )


def _port_range(raw: SecurityGroupRuleTypeDef) -> tuple[int, int]:
    """Return the rule's first and last port."""
    if _protocol(raw) == _ALL_PROTOCOLS:
        return 0, 65535
    return raw.get("FromPort", 0), raw.get("ToPort", 65535)


def _source(raw: SecurityGroupRuleTypeDef) -> str:
    """Return what the rule allows: a CIDR, a prefix list or another group."""
    sources = (
        raw.get("CidrIpv4"),
        raw.get("CidrIpv6"),
        raw.get("PrefixListId"),
        raw.get("ReferencedGroupInfo", {}).get("GroupId"),
    )
    for source in sources:
        if source:
            return source
    return "unknown"
