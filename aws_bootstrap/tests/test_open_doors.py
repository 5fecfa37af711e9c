"""SSH ports that are open to the whole internet, and rules for addresses that are no longer the caller's."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.tests.cloud import CALLER, OURS, start_box
from aws_bootstrap.tests.test_access import HOME, ME, by_others, make_group
from aws_bootstrap.tests.test_owners import OTHER, document, rules

WEST = "us-west-2"
WORLD = "0.0.0.0/0"


def upstream_group(client, name: str = "aws-bootstrap-ssh", tags=(OURS,)) -> str:
    """A group as the public tool of this name leaves it: with the tag, open to everybody by a rule without one."""
    vpc = ec2.find_network(client, ()).vpc_id
    specification = [{"ResourceType": "security-group", "Tags": list(tags)}] if tags else []
    group = client.create_security_group(GroupName=name, Description="SSH", VpcId=vpc, TagSpecifications=specification)[
        "GroupId"
    ]
    by_others(client, group, WORLD)
    return group


def opened(shown) -> list[str]:
    return [one["message"] for one in shown["warnings"] if one["code"] == "open-to-world"]


# --- launch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_launch_points_out_an_open_port_with_the_command_that_closes_it(launch, cloud, words):
    group = upstream_group(cloud.ec2(WEST))
    code, shown = launch("-r", WEST, *words)
    assert code == 0
    (message,) = opened(shown)
    assert WORLD in message
    assert group in message
    assert message.endswith(f": aws-bootstrap access --ssh-cidr me --region {WEST}")


def test_a_launch_that_requests_it_is_not_warned(launch, cloud):
    upstream_group(cloud.ec2(WEST))
    assert opened(launch("-r", WEST, "--dry-run", "--ssh-cidr", WORLD)[1]) == []


def test_a_group_of_others_is_pointed_out_too(launch, cloud):
    upstream_group(cloud.ec2(WEST), "team", tags=())
    (message,) = opened(launch("-r", WEST, "--dry-run", "--security-group", "team")[1])
    assert message.endswith(f": aws-bootstrap access --region {WEST}")


def test_rules_for_your_earlier_addresses_go_when_no_box_of_yours_needs_them(launch, cloud):
    group = make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=[HOME])
    make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=["192.0.2.1/32"], owner=OTHER)
    by_others(cloud.ec2(WEST), group, "192.0.2.2/32")
    start_box(cloud.ec2(WEST), owner=OTHER, SecurityGroupIds=[group])
    assert launch("-r", WEST)[0] == 0
    assert rules(cloud, group) == {("192.0.2.1/32", OTHER), ("192.0.2.2/32", None), (f"{ME}/32", CALLER)}


def test_they_stay_while_a_box_of_yours_is_in_the_group(launch, cloud):
    group = make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=[HOME])
    start_box(cloud.ec2(WEST), SecurityGroupIds=[group])
    assert launch("-r", WEST)[0] == 0
    assert rules(cloud, group) == {(HOME, CALLER), (f"{ME}/32", CALLER)}


def test_they_stay_for_a_box_from_before_owners_were_recorded(launch, cloud):
    """It may be the caller's, who would be locked out of it."""
    group = make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=[HOME])
    start_box(cloud.ec2(WEST), owner=None, SecurityGroupIds=[group])
    assert launch("-r", WEST)[0] == 0
    assert (HOME, CALLER) in rules(cloud, group)


def test_a_full_group_has_a_rule_to_spare_for_the_new_address(launch, cloud):
    """EC2 allows 60 rules a group: the old ones go before the new one comes."""
    group = make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=[f"192.0.2.{n}/32" for n in range(60)])
    assert launch("-r", WEST)[0] == 0
    assert rules(cloud, group) == {(f"{ME}/32", CALLER)}
    of_rules = [operation for _, operation in cloud.calls if operation.endswith("Ingress")][60:]
    assert of_rules == ["RevokeSecurityGroupIngress", "AuthorizeSecurityGroupIngress"]


def test_a_launch_goes_on_where_they_cannot_be_revoked(launch, cloud):
    make_group(cloud.ec2(WEST), name="aws-bootstrap-ssh", cidrs=[HOME])
    cloud.deny(WEST, "RevokeSecurityGroupIngress")
    code, shown = launch("-r", WEST)
    assert code == 0
    assert [one["code"] for one in shown["warnings"]] == ["access-denied"]


# --- access ----------------------------------------------------------------------------------------------


def test_access_points_out_an_open_port_and_yes_closes_it(run, cloud, my_address):
    group = upstream_group(cloud.ec2(WEST))
    box = start_box(cloud.ec2(WEST), SecurityGroupIds=[group])["InstanceId"]
    (message,) = opened(document(run("access", "-o", "json")))
    assert message.endswith(f"Close it: aws-bootstrap access {box} --ssh-cidr me --region {WEST}")
    changed = document(run("access", "--ssh-cidr", "me", "-o", "json"))
    assert rules(cloud, group) == {(WORLD, None), (f"{ME}/32", CALLER)}, "nobody agreed"
    (message,) = opened(changed)
    command = message.partition("Close it: aws-bootstrap ")[2].split()
    assert command[-1] == "--yes"
    closed = document(run(*command, "-o", "json"))
    assert opened(closed) == []
    assert closed["boxes"][0]["removed"] == [WORLD]
    assert rules(cloud, group) == {(f"{ME}/32", CALLER)}


def test_other_rules_of_others_stay_whatever_is_agreed(run, cloud, my_address):
    group = upstream_group(cloud.ec2(WEST))
    by_others(cloud.ec2(WEST), group, "192.0.2.0/24")
    start_box(cloud.ec2(WEST), SecurityGroupIds=[group])
    assert run("access", "--ssh-cidr", "me", "--yes").exit_code == 0
    assert rules(cloud, group) == {("192.0.2.0/24", None), (f"{ME}/32", CALLER)}


@pytest.mark.parametrize("tags", [(), (OURS, {"Key": "aws-bootstrap-owner", "Value": OTHER})])
def test_a_group_that_is_not_yours_is_not_closed(run, cloud, my_address, tags):
    group = upstream_group(cloud.ec2(WEST), tags=tags)
    start_box(cloud.ec2(WEST), SecurityGroupIds=[group])
    shown = document(run("access", "--ssh-cidr", "me", "--yes", "-o", "json"))
    assert rules(cloud, group) == {(WORLD, None), (f"{ME}/32", CALLER)}
    (message,) = opened(shown)
    rule = next(one for one in ec2.find_rules(cloud.ec2(WEST), [group]) if one.source == WORLD)
    assert f"revoke-security-group-ingress --region {WEST} --group-id {group}" in message
    assert message.endswith(f"--security-group-rule-ids {rule.rule_id}")


def test_an_open_port_that_is_requested_is_no_warning(run, cloud, my_address):
    group = make_group(cloud.ec2(WEST))
    start_box(cloud.ec2(WEST), SecurityGroupIds=[group])
    shown = json.loads(run("access", "--ssh-cidr", WORLD, "-o", "json").stdout)
    assert opened(shown) == []
    assert len(opened(document(run("access", "-o", "json")))) == 1
