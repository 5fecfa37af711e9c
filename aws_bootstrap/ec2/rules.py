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

_RULE_GONE = ("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound")


@explained()
def find_rules(ec2: Any, group_ids: Iterable[str]) -> list[IngressRule]:
    """Every rule of these groups that lets TCP traffic in."""
    wanted = sorted(set(group_ids))
    if not wanted:
        return []
    filters = [{"Name": "group-id", "Values": wanted}]
    found = pages(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters)
    return [_rule(raw) for raw in found if not raw.get("IsEgress") and _protocol(raw) in ("tcp", "-1")]


def opens(rule: IngressRule, port: int) -> bool:
    """Whether the rule is about this port."""
    return rule.first_port <= port <= rule.last_port


def lets_in(rules: Iterable[IngressRule], address: str) -> bool | None:
    """Whether one of the rules names this address; None if only prefix lists or groups could."""
    asked, unknown = ipaddress.ip_address(address), False
    for rule in rules:
        if "/" not in rule.source:
            unknown = True
        elif asked in ipaddress.ip_network(rule.source):
            return True
    return None if unknown else False


def rule_changes(
    group_id: str, port: int, cidrs: Sequence[str], rules: Iterable[IngressRule]
) -> tuple[tuple[str, ...], tuple[IngressRule, ...]]:
    """The CIDRs to authorize and the rules of ours to revoke, so that ours let in these CIDRs on the port, no others.

    `rules` are the existing ones. Those for other ports, of other groups and by others stay.
    """
    here = [r for r in rules if r.group_id == group_id and (r.first_port, r.last_port) == (port, port)]
    authorized = {r.source for r in here}
    missing = tuple(cidr for cidr in cidrs if cidr not in authorized)
    surplus = tuple(r for r in here if r.created_by_us and r.source not in cidrs)
    return missing, surplus


def revoke(ec2: Any, group_id: str, rules: Sequence[IngressRule]) -> None:
    """Remove these rules of the group; those that are gone already are fine."""
    try:
        with explained():
            ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=[r.rule_id for r in rules])
    except AwsError as exc:
        if exc.aws_code not in _RULE_GONE:
            raise
        if len(rules) > 1:  # EC2 refuses them all for one that is gone
            for rule in rules:
                revoke(ec2, group_id, [rule])


def authorize(ec2: Any, group_id: str, port: int, cidrs: Sequence[str]) -> None:
    """Let the CIDRs in on the port, by rules that carry our tag; rules that are there already are fine."""
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    v4 = [{"CidrIp": c, "Description": "aws-bootstrap"} for c in cidrs if ":" not in c]
    v6 = [{"CidrIpv6": c, "Description": "aws-bootstrap"} for c in cidrs if ":" in c]
    permission |= ({"IpRanges": v4} if v4 else {}) | ({"Ipv6Ranges": v6} if v6 else {})
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


def _protocol(raw: dict[str, Any]) -> str:
    """The rule's protocol; all of them where the reply names none."""
    return raw.get("IpProtocol", "-1")


def _rule(raw: dict[str, Any]) -> IngressRule:
    """The rule of a reply. What it does not limit is open: a rule must not look narrower than it may be."""
    everything = _protocol(raw) == "-1"
    group = raw.get("ReferencedGroupInfo", {}).get("GroupId")
    return IngressRule(
        rule_id=raw["SecurityGroupRuleId"],
        group_id=raw["GroupId"],
        first_port=0 if everything else raw.get("FromPort", 0),
        last_port=65535 if everything else raw.get("ToPort", 65535),
        source=raw.get("CidrIpv4") or raw.get("CidrIpv6") or raw.get("PrefixListId") or group or "unknown",
        created_by_us=tags.values(raw).get(TAG_CREATED_BY) == CREATED_BY,
        description=raw.get("Description") or None,
    )
