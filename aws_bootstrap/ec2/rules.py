"""The ingress rules of security groups, one by one: whose they are, and how ours are replaced."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from ..aws import explained, pages
from ..config import CREATED_BY, TAG_CREATED_BY
from ..errors import AwsError
from ..models import IngressRule
from . import tags

_ALL_PROTOCOLS = "-1"
_RULE_GONE = ("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound")


@explained()
def find_rules(ec2: Any, group_ids: Iterable[str]) -> list[IngressRule]:
    """Return every rule of these groups that allows TCP traffic."""
    ids = sorted(set(group_ids))
    if not ids:
        return []
    filters = [{"Name": "group-id", "Values": ids}]
    found = pages(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters)
    rules: list[IngressRule] = []
    for raw in found:
        if raw.get("IsEgress"):
            continue
        if _protocol(raw) in ("tcp", _ALL_PROTOCOLS):
            rules.append(_rule(raw))
    return rules


def opens(rule: IngressRule, port: int) -> bool:
    """Return whether the rule is about this port."""
    return rule.first_port <= port <= rule.last_port


def lets_in(rules: Iterable[IngressRule], address: str) -> bool | None:
    """Return whether one of the rules names this address; None if only prefix lists or groups could."""
    ip_address = ipaddress.ip_address(address)
    is_unknown = False
    for rule in rules:
        if "/" not in rule.source:
            is_unknown = True
        elif ip_address in ipaddress.ip_network(rule.source):
            return True
    if is_unknown:
        return None
    return False


def rule_changes(
    group_id: str, port: int, cidrs: Sequence[str], rules: Iterable[IngressRule]
) -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
    """Return the CIDRs to authorize and the rules of ours to revoke, so that ours allow these CIDRs alone on the port.

    `rules` are the existing ones. Those for other ports, of other groups and by others stay.
    """
    own_port = [rule for rule in rules if rule.group_id == group_id and _is_for(rule, port)]
    authorized = {rule.source for rule in own_port}
    missing = [cidr for cidr in cidrs if cidr not in authorized]
    surplus: list[IngressRule] = []
    for rule in own_port:
        if rule.created_by_us and rule.source not in cidrs:
            surplus.append(rule)
    return tuple(missing), tuple(surplus)


def _is_for(rule: IngressRule, port: int) -> bool:
    """Return whether the rule is about this port and no other."""
    return rule.first_port == port and rule.last_port == port


def revoke(ec2: Any, group_id: str, rules: Sequence[IngressRule]) -> None:
    """Remove these rules of the group; those that are gone already are fine."""
    rule_ids = [rule.rule_id for rule in rules]
    try:
        with explained():
            ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=rule_ids)
    except AwsError as exc:
        if exc.aws_code not in _RULE_GONE:
            raise
        if len(rules) > 1:  # EC2 refuses them all for one that is gone
            for rule in rules:
                revoke(ec2, group_id, [rule])


def authorize(ec2: Any, group_id: str, port: int, cidrs: Sequence[str]) -> None:
    """Allow the CIDRs on the port, by rules that carry our tag; rules that are there already are fine."""
    permission = _permission(port, cidrs)
    try:
        with explained():
            ec2.authorize_security_group_ingress(
                GroupId=group_id,
                IpPermissions=[permission],
                TagSpecifications=[tags.specification("security-group-rule", f"ssh-{port}")],
            )
    except AwsError as exc:
        if exc.aws_code != "InvalidPermission.Duplicate":
            raise
        if len(cidrs) > 1:  # EC2 refuses them all for one that is there already
            for cidr in cidrs:
                authorize(ec2, group_id, port, [cidr])


def _permission(port: int, cidrs: Sequence[str]) -> dict[str, Any]:
    """Return the CIDRs and the port as EC2 takes them."""
    ipv4: list[dict[str, str]] = []
    ipv6: list[dict[str, str]] = []
    for cidr in cidrs:
        if ":" in cidr:
            ipv6.append({"CidrIpv6": cidr, "Description": "aws-bootstrap"})
        else:
            ipv4.append({"CidrIp": cidr, "Description": "aws-bootstrap"})
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    if ipv4:
        permission["IpRanges"] = ipv4
    if ipv6:
        permission["Ipv6Ranges"] = ipv6
    return permission


def _protocol(raw: dict[str, Any]) -> str:
    """Return the rule's protocol; all of them where the reply names none."""
    protocol: str = raw.get("IpProtocol", _ALL_PROTOCOLS)
    return protocol


def _rule(raw: dict[str, Any]) -> IngressRule:
    """Return the rule of a reply. What it does not limit is open: a rule must not look narrower than it may be."""
    first_port, last_port = _port_range(raw)
    return IngressRule(
        rule_id=raw["SecurityGroupRuleId"],
        group_id=raw["GroupId"],
        first_port=first_port,
        last_port=last_port,
        source=_source(raw),
        created_by_us=tags.values(raw).get(TAG_CREATED_BY) == CREATED_BY,
        description=raw.get("Description") or None,
    )


def _port_range(raw: dict[str, Any]) -> tuple[int, int]:
    """Return the rule's first and last port."""
    if _protocol(raw) == _ALL_PROTOCOLS:
        return 0, 65535
    return raw.get("FromPort", 0), raw.get("ToPort", 65535)


def _source(raw: dict[str, Any]) -> str:
    """Return whom the rule allows: a CIDR, a prefix list or another group."""
    for key in ("CidrIpv4", "CidrIpv6", "PrefixListId"):
        source: str | None = raw.get(key)
        if source:
            return source
    group_id: str | None = raw.get("ReferencedGroupInfo", {}).get("GroupId")
    return group_id or "unknown"
