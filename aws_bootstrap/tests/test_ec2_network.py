"""Networks, security groups and their rules (ec2/network.py, ec2/rules.py)."""

from __future__ import annotations

from typing import Any

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import rules
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.models import IngressRule, Network, SecurityGroup, Subnet
from aws_bootstrap.tests.stubs import refused, specified


def test_the_subnet_or_the_default_vpc_is_asked_for(client, stub):
    subnet = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZone": "us-west-2a"}
    named = {"Filters": [{"Name": "subnet-id", "Values": ["subnet-1"]}]}
    stub.add_response("describe_subnets", {"Subnets": [subnet]}, named)
    assert ec2.find_network(client, ["subnet-1"]) == Network("vpc-1", (Subnet("subnet-1", "us-west-2a"),))
    wanted = {"Filters": [{"Name": "is-default", "Values": ["true"]}]}
    stub.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-2"}]}, wanted)
    assert ec2.find_network(client, ()) == Network("vpc-2")


def subnet(subnet_id: str, vpc_id: str = "vpc-1") -> dict[str, str]:
    return {"SubnetId": subnet_id, "VpcId": vpc_id, "AvailabilityZone": "us-west-2a"}


def test_the_subnets_of_a_region_are_those_that_it_has_in_the_given_order(client, stub):
    stub.add_response("describe_subnets", {"Subnets": [subnet("subnet-1"), subnet("subnet-3")]})
    network = ec2.find_network(client, ["subnet-3", "subnet-2", "subnet-1"])
    assert [one.subnet_id for one in network.subnets] == ["subnet-3", "subnet-1"]


@pytest.mark.parametrize(
    ("found", "code"), [([], "not-found"), ([subnet("subnet-1"), subnet("subnet-2", "vpc-2")], "usage")]
)
def test_subnets_that_cannot_be_used_together_are_refused(client, stub, found, code):
    stub.add_response("describe_subnets", {"Subnets": found})
    with pytest.raises(BootstrapError) as caught:
        ec2.find_network(client, ["subnet-1", "subnet-2"])
    assert caught.value.code == code


def test_the_rules_of_a_group_are_read(client, stub):
    everybody, six = [{"CidrIp": "0.0.0.0/0"}], [{"CidrIpv6": "2001:db8::/32"}, {}]
    permissions = [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "IpRanges": everybody, "Ipv6Ranges": six},
        {"IpProtocol": "-1", "IpRanges": everybody},
        {"IpProtocol": "udp", "FromPort": 22, "ToPort": 22, "IpRanges": everybody},
        {"IpProtocol": "tcp", "FromPort": 22, "IpRanges": everybody},
        {"IpProtocol": "tcp", "ToPort": 22, "IpRanges": everybody},
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80},
    ]
    raw = {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": permissions}
    wanted = {"Filters": [{"Name": "group-name", "Values": ["ours"]}]}
    groups = [raw, {"GroupId": "sg-2", "VpcId": "vpc-2"}]
    stub.add_response("describe_security_groups", {"SecurityGroups": groups}, wanted)
    first, second = ec2.find_security_groups(client, "ours")
    assert first.rules == {(22, 23, "0.0.0.0/0"), (22, 23, "2001:db8::/32"), (0, 65535, "0.0.0.0/0")}
    assert second == SecurityGroup("sg-2", "vpc-2")
    assert ec2.group_in([first, second], "vpc-2") is second


@pytest.mark.parametrize("there_now", [True, False])
def test_a_group_that_another_launch_made_is_taken(client, stub, there_now):
    made = {"GroupId": "sg-1", "VpcId": "vpc-1"}
    stub.add_client_error("create_security_group", "InvalidGroup.Duplicate", "")
    stub.add_response("describe_security_groups", {"SecurityGroups": [made] if there_now else []})
    if there_now:
        assert ec2.ensure_security_group(client, "vpc-1", "g", None) == (SecurityGroup("sg-1", "vpc-1"), False)
    else:
        with refused("InvalidGroup.Duplicate"):
            ec2.ensure_security_group(client, "vpc-1", "g", None)


def test_a_group_that_was_found_before_is_not_looked_up_again(client, stub):
    found = SecurityGroup("sg-1", "vpc-1")
    assert ec2.ensure_security_group(client, "vpc-1", "g", found) == (found, False)


def test_a_group_is_created_with_its_tags_in_its_vpc(client, stub):
    wanted = {
        "GroupName": "g",
        "Description": "SSH access for aws-bootstrap",
        "VpcId": "vpc-1",
        "TagSpecifications": specified("security-group", Name="g"),
    }
    stub.add_response("create_security_group", {"GroupId": "sg-1"}, wanted)
    assert ec2.ensure_security_group(client, "vpc-1", "g", None) == (SecurityGroup("sg-1", "vpc-1"), True)
    stub.add_client_error("create_security_group", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.ensure_security_group(client, "vpc-1", "g", None)


def opened(port: int, **ranges: list[str]) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    for name, word in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")):
        if name in ranges:
            permission[name] = [{word: cidr, "Description": "aws-bootstrap"} for cidr in ranges[name]]
    named = specified("security-group-rule", Name=f"ssh-{port}")
    return {"GroupId": "sg-1", "IpPermissions": [permission], "TagSpecifications": named}


def test_a_port_is_opened_by_tagged_rules_for_those_addresses_alone(client, stub):
    for ranges in ({"IpRanges": ["192.0.2.1/32"]}, {"Ipv6Ranges": ["2001:db8::1/128"]}):
        stub.add_response("authorize_security_group_ingress", {}, opened(2222, **ranges))
        rules.authorize(client, "sg-1", 2222, next(iter(ranges.values())))
    both = {"IpRanges": ["192.0.2.1/32"], "Ipv6Ranges": ["2001:db8::1/128"]}
    stub.add_response("authorize_security_group_ingress", {}, opened(22, **both))
    rules.authorize(client, "sg-1", 22, ["192.0.2.1/32", "2001:db8::1/128"])


def test_a_group_not_found_yet_is_opened_when_it_is_and_a_refusal_is_reported(client, stub):
    group = SecurityGroup("sg-1", "vpc-1", frozenset({(22, 22, "198.51.100.0/24")}))
    stub.add_client_error("authorize_security_group_ingress", "InvalidGroup.NotFound", "")
    stub.add_response("authorize_security_group_ingress", {}, opened(22, IpRanges=["192.0.2.1/32"]))
    ec2.ensure_ingress(client, group, 22, ["192.0.2.1/32", "198.51.100.7/32"])
    stub.add_client_error("authorize_security_group_ingress", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.ensure_ingress(client, group, 22, ["192.0.2.1/32"])
    stub.add_client_error("authorize_security_group_ingress", "InvalidGroup.NotFound", "")
    with refused("InvalidGroup.NotFound"):
        ec2.ensure_ingress(client, group, 22, ["192.0.2.1/32"], timeout=0.0)


def test_every_field_of_a_rule_is_read(client, stub):
    base = {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 23}
    raw = [
        base | {"CidrIpv4": "192.0.2.0/24", "Description": "d", "Tags": [{"Key": "created-by", "Value": "x"}]},
        base | {"CidrIpv6": "2001:db8::/32", "Tags": [{"Key": "created-by", "Value": "aws-bootstrap-g4dn"}]},
        base | {"PrefixListId": "pl-1", "Description": ""},
        base | {"ReferencedGroupInfo": {"GroupId": "sg-9"}},
        {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1"},
        base | {"IpProtocol": "-1", "CidrIpv4": "192.0.2.0/24"},
        {"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IpProtocol": "tcp"},
        base | {"IsEgress": True},
        base | {"IpProtocol": "udp"},
    ]
    wanted = {"Filters": [{"Name": "group-id", "Values": ["sg-1", "sg-2"]}]}
    stub.add_response("describe_security_group_rules", {"SecurityGroupRules": raw}, wanted)
    assert ec2.find_rules(client, []) == []
    found = ec2.find_rules(client, ["sg-2", "sg-1", "sg-1"])
    assert {(r.rule_id, r.group_id) for r in found} == {("sgr-1", "sg-1")}
    assert [(r.first_port, r.last_port, r.source, r.created_by_us, r.description) for r in found] == [
        (22, 23, "192.0.2.0/24", False, "d"),
        (22, 23, "2001:db8::/32", True, None),
        (22, 23, "pl-1", False, None),
        (22, 23, "sg-9", False, None),
        (0, 65535, "unknown", False, None),
        (0, 65535, "192.0.2.0/24", False, None),
        (0, 65535, "unknown", False, None),
    ]


def rule(source: str, first: int = 22, last: int = 22, **more: Any) -> IngressRule:
    facts: dict[str, Any] = {"rule_id": f"sgr-{source}", "group_id": "sg-1", "created_by_us": True} | more
    return IngressRule(first_port=first, last_port=last, source=source, **facts)


def test_which_rules_are_about_a_port_and_an_address():
    assert [ec2.covers_port(rule("x", 20, 30), port) for port in (19, 20, 30, 31)] == [False, True, True, False]
    assert ec2.allows([rule("192.0.2.0/24")], "192.0.2.7") is True
    assert ec2.allows([rule("192.0.2.0/24")], "198.51.100.1") is False
    assert ec2.allows([rule("pl-1"), rule("192.0.2.0/24")], "198.51.100.1") is None
    assert ec2.allows([rule("pl-1"), rule("192.0.2.0/24")], "192.0.2.7") is True


def test_our_rules_of_that_port_and_group_are_replaced_and_no_others():
    there = [
        rule("192.0.2.1/32"),
        rule("192.0.2.2/32"),
        rule("192.0.2.3/32", created_by_us=False),
        rule("192.0.2.4/32", group_id="sg-2"),
        rule("192.0.2.5/32", first=21),
        rule("192.0.2.6/32", last=23),
    ]
    cidrs = ["192.0.2.1/32", "192.0.2.9/32", "192.0.2.4/32"]
    missing, surplus = rules.rule_changes("sg-1", 22, cidrs, there)
    assert missing == ("192.0.2.9/32", "192.0.2.4/32")
    assert [r.source for r in surplus] == ["192.0.2.2/32"]
    assert rules.rule_changes("sg-1", 22, ["192.0.2.1/32", "192.0.2.2/32"], there) == ((), ())


@pytest.mark.parametrize("gone", ["InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"])
def test_rules_are_revoked_and_those_that_are_gone_are_fine(client, stub, gone):
    first, second = rule("192.0.2.1/32"), rule("192.0.2.2/32")
    one, two = (
        {"GroupId": "sg-1", "SecurityGroupRuleIds": [f"sgr-{cidr}"]} for cidr in ("192.0.2.1/32", "192.0.2.2/32")
    )
    both = {"GroupId": "sg-1", "SecurityGroupRuleIds": [*one["SecurityGroupRuleIds"], *two["SecurityGroupRuleIds"]]}
    stub.add_client_error("revoke_security_group_ingress", gone, "", expected_params=both)
    stub.add_client_error("revoke_security_group_ingress", gone, "", expected_params=one)
    stub.add_response("revoke_security_group_ingress", {}, two)
    rules.revoke(client, "sg-1", [first, second])
    stub.add_client_error("revoke_security_group_ingress", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        rules.revoke(client, "sg-1", [first])


def test_a_rule_that_is_there_is_fine_and_another_refusal_is_not(client, stub):
    stub.add_client_error("authorize_security_group_ingress", "InvalidPermission.Duplicate", "")
    rules.authorize(client, "sg-1", 22, ["192.0.2.1/32"])
    stub.add_client_error("authorize_security_group_ingress", "RulesPerSecurityGroupLimitExceeded", "")
    with refused("RulesPerSecurityGroupLimitExceeded"):
        rules.authorize(client, "sg-1", 22, ["192.0.2.1/32"])


def test_a_missing_default_vpc_names_the_option(client, stub):
    stub.add_response("describe_vpcs", {"Vpcs": []})
    with pytest.raises(BootstrapError, match="no default VPC") as caught:
        ec2.find_network(client, ())
    assert caught.value.hint == (
        "Name a public subnet with --subnet-id, or create a default VPC: "
        "aws ec2 create-default-vpc{--profile} --region us-west-2"
    )
    assert caught.value.code == "no-default-vpc"


def rules_of(aws, group_id) -> list[tuple[int, list[str]]]:
    group = aws.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    return [
        (p["FromPort"], [r["CidrIp"] for r in p["IpRanges"]] + [r["CidrIpv6"] for r in p["Ipv6Ranges"]])
        for p in group["IpPermissions"]
    ]


def test_the_group_is_made_once_and_opened_for_those_who_are_missing(aws):
    vpc = ec2.find_network(aws, ()).vpc_id
    group, made = ec2.ensure_security_group(aws, vpc, "ssh", None)
    ec2.ensure_ingress(aws, group, 22, ["203.0.113.7/32"])
    assert made
    assert rules_of(aws, group.group_id) == [(22, ["203.0.113.7/32"])]
    again, made = ec2.ensure_security_group(aws, vpc, "ssh", None)
    ec2.ensure_ingress(aws, again, 2222, ["203.0.113.0/24", "2001:db8::1/128"])
    ec2.ensure_ingress(aws, group, 22, ["203.0.113.7/32"])
    assert again.group_id == group.group_id
    assert not made
    assert (2222, ["203.0.113.0/24", "2001:db8::1/128"]) in rules_of(aws, group.group_id)
    tags = aws.describe_security_groups(GroupIds=[group.group_id])["SecurityGroups"][0]["Tags"]
    assert {"Key": "created-by", "Value": "aws-bootstrap-g4dn"} in tags


@pytest.mark.parametrize(
    ("protocol", "ports", "missing"),
    [
        ("tcp", {"FromPort": 22, "ToPort": 22}, ()),
        ("-1", {}, ()),
        ("udp", {"FromPort": 22, "ToPort": 22}, ("203.0.113.7/32",)),
        ("icmp", {"FromPort": 0, "ToPort": -1}, ("203.0.113.7/32",)),
        ("50", {}, ("203.0.113.7/32",)),
    ],
)
def test_only_tcp_rules_let_ssh_in(client, stub, protocol, ports, missing):
    """mutants.md, `_rules`: a UDP rule for the port left it closed, and the box billed unreachable."""
    rule = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": "203.0.113.0/24"}], **ports}
    group = {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": [rule]}
    stub.add_response("describe_security_groups", {"SecurityGroups": [group]})
    found = ec2.group_in(ec2.find_security_groups(client, "ssh"), "vpc-1")
    assert ec2.missing_cidrs(found, 22, ["203.0.113.7/32"]) == missing


@pytest.mark.parametrize(
    ("rule", "port", "cidr", "missing"),
    [
        ((22, 22, "203.0.113.0/24"), 22, "203.0.113.7/32", False),
        ((0, 65535, "0.0.0.0/0"), 22, "203.0.113.7/32", False),
        ((22, 22, "203.0.113.7/32"), 22, "203.0.113.0/24", True),
        ((23, 80, "0.0.0.0/0"), 22, "203.0.113.7/32", True),
        ((22, 22, "0.0.0.0/0"), 22, "2001:db8::1/128", True),
        ((22, 22, "::/0"), 22, "2001:db8::1/128", False),
    ],
)
def test_rules_are_checked_not_assumed(rule, port, cidr, missing):
    group = SecurityGroup("sg-1", "vpc-1", frozenset({rule}))
    assert ec2.missing_cidrs(group, port, [cidr]) == ((cidr,) if missing else ())
