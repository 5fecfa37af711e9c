"""EC2's verbs one by one: the exact request of each, and each field of a reply. Stubber refuses any other request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.stub import ANY, Stubber

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import keypairs, rules, tags, volumes
from aws_bootstrap.ec2.instances import find_by_token, get_instances
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.keys import LocalKey
from aws_bootstrap.models import IngressRule, Instance, KeyPair, Network, SecurityGroup, StateChange
from aws_bootstrap.tests import factories

OURS = {"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1ZrP6J5nJ0o1y2z3x4w5v6u7t8s9r0q1p2o3n4m5l6"
BOX = factories.instance(availability_zone="us-west-2b")


@contextlib.contextmanager
def refused(code: str) -> Iterator[None]:
    """EC2 refuses with this code, and that is what is raised."""
    with pytest.raises(AwsError) as caught:
        yield
    assert caught.value.aws_code == code


def specified(kind: str, **named: str) -> list[dict[str, Any]]:
    wanted = {**named, "created-by": "aws-bootstrap-g4dn"}
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in wanted.items()]}]


def reserved(*raw: dict[str, Any]) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [one]} for one in raw]}


# --- tags ------------------------------------------------------------------------------------------------


def test_tags_are_read_whatever_they_lack():
    assert tags.values([{"Key": "a", "Value": "1"}, {"Key": "b"}, {"Value": "no key"}]) == {"a": "1", "b": ""}
    assert tags.CREATED_BY_FILTER == OURS


# --- instances -------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "InstanceId": "i-1",
    "State": {"Name": "running"},
    "InstanceType": "g5.xlarge",
    "InstanceLifecycle": "spot",
    "Placement": {"AvailabilityZone": "us-west-2b"},
    "LaunchTime": NOW,
    "PublicIpAddress": "203.0.113.9",
    "StateReason": {"Message": "why"},
    "ImageId": "ami-1",
    "SecurityGroups": [{"GroupId": "sg-1"}, {"GroupName": "no id"}],
}


def test_every_field_of_an_instance_is_read(client, stub):
    filters = [OURS, {"Name": "instance-id", "Values": ["i-1", "i-2"]}]
    stub.add_response("describe_instances", reserved(FULL, {"InstanceId": "i-2"}), {"Filters": filters})
    full, bare = get_instances(client, ["i-1", "i-2"])
    assert full == Instance(
        *("i-1", "us-west-2", "running", "g5.xlarge", "spot", "us-west-2b", NOW),
        public_ip="203.0.113.9",
        state_reason="why",
        image_id="ami-1",
        group_ids=("sg-1",),
    )
    assert bare == Instance("i-2", "us-west-2", "unknown", "unknown", "on-demand", "", None)


def test_those_that_are_not_terminated_are_found_oldest_first(client, stub):
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters = [OURS, {"Name": "instance-state-name", "Values": states}]
    younger = {"InstanceId": "i-3", "LaunchTime": NOW.replace(year=2027)}
    stub.add_response("describe_instances", reserved(younger, FULL, {"InstanceId": "i-2"}), {"Filters": filters})
    assert [i.instance_id for i in ec2.find_instances(client)] == ["i-2", "i-1", "i-3"]


def test_an_instance_is_found_by_its_token(client, stub):
    wanted = {"Filters": [{"Name": "client-token", "Values": ["t"]}]}
    stub.add_response("describe_instances", reserved(FULL), wanted)
    stub.add_response("describe_instances", reserved(), wanted)
    assert [instance.instance_id for instance in find_by_token(client, "t")] == ["i-1"]
    assert find_by_token(client, "t") == []


@pytest.mark.parametrize(
    ("state", "code"),
    [("shutting-down", "instance-ended"), ("terminated", "instance-ended"), ("stopped", "instance-stopped")],
)
def test_an_instance_that_does_not_come_to_run_is_told_by_its_state(client, stub, state, code):
    stub.add_client_error("describe_instances", "InvalidInstanceID.NotFound", "")
    for told in (FULL | {"State": {"Name": "pending"}}, {"InstanceId": "i-1"}, {"InstanceId": "i-1"} | state_of(state)):
        stub.add_response("describe_instances", reserved(told), {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match=f"i-1 is {state} instead of running: no reason given") as caught:
        ec2.wait_running(client, "i-1", every=0.001)
    assert caught.value.code == code and "--instance-type or --region" in str(caught.value.hint)


def state_of(name: str) -> dict[str, Any]:
    return {"State": {"Name": name}}


def test_waiting_for_an_instance_ends(client, stub):
    stub.add_response("describe_instances", reserved(FULL | state_of("pending")))
    with pytest.raises(BootstrapError, match="i-1 is not running after 0 s") as caught:
        ec2.wait_running(client, "i-1", timeout=0.0)
    assert caught.value.code == "instance-timeout"


def test_a_look_that_is_refused_is_not_waited_out(client, stub):
    stub.add_client_error("describe_instances", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.wait_running(client, "i-1")


def test_what_ec2_says_of_each_ended_instance_is_told(client, stub):
    told = {"InstanceId": "i-1", "PreviousState": {"Name": "running"}, "CurrentState": {"Name": "shutting-down"}}
    stub.add_response("terminate_instances", {"TerminatingInstances": [told]}, {"InstanceIds": ["i-1"]})
    assert ec2.terminate_instances(client, ["i-1"]) == [StateChange("i-1", "running", "shutting-down")]


@pytest.mark.parametrize("lacking", ["PreviousState", "CurrentState"])
def test_an_instance_of_which_ec2_says_nothing_is_unknown(client, stub, lacking):
    told = {"InstanceId": "i-1", "PreviousState": {"Name": "running"}, "CurrentState": {"Name": "shutting-down"}}
    half = {k: v for k, v in told.items() if k != lacking} | {"InstanceId": "i-2"}
    stub.add_response("terminate_instances", {"TerminatingInstances": [told, half]})
    with pytest.raises(AwsError, match="the state of i-2, i-3") as caught:
        ec2.terminate_instances(client, ["i-3", "i-2", "i-1"])
    assert caught.value.outcome_known is False


# --- images and types ------------------------------------------------------------------------------------


def test_every_field_of_an_image_is_read(client, stub):
    mappings = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 60}},
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 500}},
        {"DeviceName": "/dev/xvda"},
    ]
    whole = {
        "ImageId": "ami-1",
        "Name": "one",
        "Architecture": "arm64",
        "CreationDate": "2026-01-02",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": mappings,
    }
    plain = {"ImageId": "ami-2", "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]}
    stub.add_response("describe_images", {"Images": [{"ImageId": "ami-3"}, whole, plain]})
    first, second, third = ec2.find_images(client, "x")
    assert (first.name, first.architecture, first.creation_date) == ("one", "arm64", "2026-01-02")
    assert (first.root_device, first.root_size_gb) == ("/dev/xvda", 60)
    assert {
        (i.image_id, i.name, i.architecture, i.creation_date, i.root_device, i.root_size_gb) for i in (second, third)
    } == {
        ("ami-2", "", "", "", "/dev/sda1", 8),
        ("ami-3", "", "", "", "/dev/sda1", 0),
    }


def test_names_of_images_are_asked_by_id(client, stub):
    wanted = {"Filters": [{"Name": "image-id", "Values": ["ami-1", "ami-2"]}]}
    stub.add_response(
        "describe_images", {"Images": [{"ImageId": "ami-1", "Name": "one"}, {"ImageId": "ami-2"}]}, wanted
    )
    assert ec2.image_names(client, {"ami-2", "ami-1"}) == {"ami-1": "one", "ami-2": ""}


def test_every_field_of_a_type_is_read(client, stub):
    gpus = [{"Count": 2, "Name": "L4", "MemoryInfo": {"SizeInMiB": 1}}, {}]
    whole = {
        "InstanceType": "g6.2xlarge",
        "VCpuInfo": {"DefaultVCpus": 8},
        "MemoryInfo": {"SizeInMiB": 2},
        "ProcessorInfo": {"SupportedArchitectures": ["arm64"]},
        "GpuInfo": {"Gpus": gpus},
    }
    wanted = {"Filters": [{"Name": "instance-type", "Values": ["g6*"]}]}
    stub.add_response("describe_instance_types", {"InstanceTypes": [whole, {"InstanceType": "t3.micro"}]}, wanted)
    full, bare = ec2.find_instance_types(client, ["g6*"])
    assert (full.name, full.vcpus, full.memory_mib, full.architectures) == ("g6.2xlarge", 8, 2, ("arm64",))
    assert full.gpu == "2x L4 (1 MiB), ?x unknown (unknown MiB)"
    assert (bare.name, bare.vcpus, bare.memory_mib, bare.architectures, bare.gpu) == ("t3.micro", 0, 0, (), None)


def test_spot_prices_are_asked_as_of_now(client, stub):
    wanted = {"InstanceTypes": ["a", "b"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY}
    record = {"InstanceType": "a", "AvailabilityZone": "z", "SpotPrice": "0.5", "Timestamp": NOW}
    broken = [{k: v for k, v in record.items() if k != lacking} for lacking in record]
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": [*broken, record]}, wanted)
    assert ec2.spot_prices(client, []) == {}
    assert [(key, price.price) for key, price in ec2.spot_prices(client, ["b", "a", "b"]).items()] == [
        (("a", "z"), 0.5)
    ]


@pytest.mark.parametrize(("listed", "price"), [(["0.5000", "0.0000", "0.4000"], 0.4), (["0.0000"], None), ([], None)])
def test_the_lowest_price_above_zero_is_the_on_demand_price(listed, price):
    client = boto3.client("pricing", "us-east-1")
    terms = {str(n): {"priceDimensions": {"d": {"pricePerUnit": {"USD": usd}}}} for n, usd in enumerate(listed)}
    fields = {"regionCode": "r", "instanceType": "t", "operatingSystem": "Linux", "preInstalledSw": "NA"}
    fields |= {"tenancy": "Shared", "capacitystatus": "Used"}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]
    with Stubber(client) as stub:
        reply = {"PriceList": [json.dumps({"terms": {"OnDemand": terms}}), "{}"]}
        stub.add_response("get_products", reply, {"ServiceCode": "AmazonEC2", "Filters": filters})
        assert ec2.on_demand_price(client, "r", "t") == price


@pytest.mark.parametrize("code", ["InvalidKeyPair.NotFound", "InvalidGroup.NotFound"])
def test_what_ec2_does_not_know_yet_is_asked_for_again(client, stub, code):
    stub.add_client_error("run_instances", code, "")
    stub.add_response("run_instances", {"Instances": [FULL]})
    assert ec2.start_instances(client, factories.request(), sleep=lambda _: None)[0].instance_id == "i-1"


def test_the_address_of_an_instance_that_has_none_is_an_error(client, stub):
    stub.add_response("describe_instances", reserved(FULL | {"PublicIpAddress": "", "State": {"Name": "stopped"}}))
    (bare,) = ec2.find_instances(client)
    assert bare.public_ip is None
    with pytest.raises(BootstrapError, match="has no public address") as caught:
        ec2.get_address(bare)
    assert caught.value.code == "no-public-ip" and "status" in str(caught.value.hint)


def test_an_instance_without_an_address_is_told_with_its_code(client, stub):
    bare = {k: v for k, v in FULL.items() if k != "PublicIpAddress"}
    stub.add_response("describe_instances", reserved(bare))
    with pytest.raises(BootstrapError, match="runs without a public address") as caught:
        ec2.wait_running(client, "i-1", address_within=0.0, every=0.001)
    assert caught.value.code == "no-public-ip" and "--subnet-id" in str(caught.value.hint)


# --- the network -----------------------------------------------------------------------------------------


def test_the_subnet_or_the_default_vpc_is_asked_for(client, stub):
    subnet = {"SubnetId": "subnet-1", "VpcId": "vpc-1"}
    stub.add_response("describe_subnets", {"Subnets": [subnet]}, {"SubnetIds": ["subnet-1"]})
    assert ec2.find_network(client, "subnet-1") == Network("vpc-1", "subnet-1")
    wanted = {"Filters": [{"Name": "is-default", "Values": ["true"]}]}
    stub.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-2"}]}, wanted)
    assert ec2.find_network(client, None) == Network("vpc-2")


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
    assert second == SecurityGroup("sg-2", "vpc-2") and ec2.group_in([first, second], "vpc-2") is second


@pytest.mark.parametrize("there_now", [True, False])
def test_a_group_that_another_launch_made_is_taken(client, stub, there_now):
    made = {"GroupId": "sg-1", "VpcId": "vpc-1"}
    stub.add_response("describe_security_groups", {"SecurityGroups": []})
    stub.add_client_error("create_security_group", "InvalidGroup.Duplicate", "")
    stub.add_response("describe_security_groups", {"SecurityGroups": [made] if there_now else []})
    if there_now:
        assert ec2.ensure_security_group(client, "vpc-1", "g") == (SecurityGroup("sg-1", "vpc-1"), False)
    else:
        with refused("InvalidGroup.Duplicate"):
            ec2.ensure_security_group(client, "vpc-1", "g")


def test_a_group_is_created_with_its_tags_in_its_vpc(client, stub):
    stub.add_response("describe_security_groups", {"SecurityGroups": []})
    wanted = {
        "GroupName": "g",
        "Description": "SSH access for aws-bootstrap",
        "VpcId": "vpc-1",
        "TagSpecifications": specified("security-group", Name="g"),
    }
    stub.add_response("create_security_group", {"GroupId": "sg-1"}, wanted)
    assert ec2.ensure_security_group(client, "vpc-1", "g") == (SecurityGroup("sg-1", "vpc-1"), True)
    stub.add_response("describe_security_groups", {"SecurityGroups": []})
    stub.add_client_error("create_security_group", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.ensure_security_group(client, "vpc-1", "g")


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


def test_a_group_not_found_yet_is_opened_when_it_is_and_a_refusal_is_told(client, stub):
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
    assert missing == ("192.0.2.9/32", "192.0.2.4/32") and [r.source for r in surplus] == ["192.0.2.2/32"]
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


# --- key pairs -------------------------------------------------------------------------------------------


def local(body: str | None) -> LocalKey:
    return LocalKey(None, None, body)  # type: ignore[arg-type]


def test_the_pairs_of_that_name_are_asked_for_with_their_keys(client, stub):
    wanted = {"Filters": [{"Name": "key-name", "Values": ["k", "k-*"]}], "IncludePublicKey": True}
    raw = [{"KeyName": "k", "PublicKey": f"{KEY} a comment"}, {"KeyName": "k-1"}]
    stub.add_response("describe_key_pairs", {"KeyPairs": raw}, wanted)
    assert ec2.find_key_pairs(client, "k") == (KeyPair("k", KEY), KeyPair("k-1", None))


def test_which_name_a_key_has_or_will_have():
    key = local(KEY)
    other = f"k-{key.digest}"
    assert ec2.key_pair_for((), "k", local(None)) == ("k", True)
    assert ec2.key_pair_for((), "k", key) == ("k", True)
    assert ec2.key_pair_for((KeyPair("k", KEY),), "k", key) == ("k", False)
    assert ec2.key_pair_for((KeyPair("k", "another"),), "k", key) == (other, True)
    assert ec2.key_pair_for((KeyPair("k", "another"), KeyPair(other, KEY)), "k", key) == (other, False)
    assert ec2.key_pair_for((KeyPair("k", "another"), KeyPair(other, "another")), "k", key) == (other, True)


def test_a_key_is_imported_tagged_and_one_that_was_quicker_is_taken(client, stub):
    wanted = {"KeyName": "k", "PublicKeyMaterial": KEY.encode(), "TagSpecifications": specified("key-pair", Name="k")}
    stub.add_response("import_key_pair", {}, wanted)
    assert keypairs.ensure_key_pair(client, "k", local(KEY), ()) == ("k", True)
    assert keypairs.ensure_key_pair(client, "k", local(KEY), (KeyPair("k", KEY),)) == ("k", False)
    stub.add_client_error("import_key_pair", "InvalidKeyPair.Duplicate", "")
    stub.add_response("describe_key_pairs", {"KeyPairs": [{"KeyName": "k", "PublicKey": "ssh-rsa AAAA"}]})
    assert keypairs.ensure_key_pair(client, "k", local(KEY), ()) == (f"k-{local(KEY).digest}", False)
    stub.add_client_error("import_key_pair", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        keypairs.ensure_key_pair(client, "k", local(KEY), ())


# --- volumes ---------------------------------------------------------------------------------------------

VOLUME: dict[str, Any] = {
    "VolumeId": "vol-1",
    "Size": 8,
    "State": "available",
    "AvailabilityZone": "us-west-2b",
    "Tags": [
        {"Key": "created-by", "Value": "aws-bootstrap-g4dn"},
        {"Key": "aws-bootstrap-instance", "Value": "i-1"},
        {"Key": "aws-bootstrap-keep", "Value": "true"},
        {"Key": "aws-bootstrap-format", "Value": "once"},
    ],
    "Attachments": [{"InstanceId": "i-1"}],
}


def described(*raw: dict[str, Any]) -> dict[str, Any]:
    return {"Volumes": list(raw)}


def test_every_field_of_a_volume_is_read(client, stub):
    of_ours = {"Filters": [{"Name": "tag-key", "Values": ["aws-bootstrap-instance"]}]}
    raw = [VOLUME, VOLUME | {"SnapshotId": "snap-1", "Attachments": [{}]}]
    stub.add_response("describe_volumes", described(*raw), of_ours)
    stub.add_response("describe_volumes", described({"VolumeId": "vol-2"}), {"VolumeIds": ["vol-2"]})
    whole, restored = ec2.find_volumes(client)
    bare = ec2.find_volume(client, "vol-2")
    assert bare is not None
    assert (whole.volume_id, whole.region, whole.size_gb, whole.state) == ("vol-1", "us-west-2", 8, "available")
    assert (whole.availability_zone, whole.instance_id, whole.attached_to) == ("us-west-2b", "i-1", "i-1")
    assert whole.created_by_us and whole.kept and whole.format_once
    assert not restored.format_once and restored.attached_to == "unknown"
    assert (bare.size_gb, bare.state, bare.availability_zone) == (0, "unknown", "")
    assert not bare.created_by_us and not bare.kept and not bare.format_once
    assert bare.instance_id is None and bare.attached_to is None


def test_the_volumes_of_an_instance_are_asked_by_its_tag(client, stub):
    wanted = {"Filters": [{"Name": "tag:aws-bootstrap-instance", "Values": ["i-1"]}]}
    stub.add_response("describe_volumes", described(VOLUME), wanted)
    assert [v.volume_id for v in ec2.find_ebs_volumes_for_instance(client, "i-1")] == ["vol-1"]


def test_a_volume_is_created_encrypted_tagged_and_once_an_instance(client, stub):
    named = {"Name": "aws-bootstrap-data-i-1", "team": "vision", "aws-bootstrap-instance": "i-1"}
    wanted = {
        "AvailabilityZone": "us-west-2b",
        "Size": 96,
        "VolumeType": "gp3",
        "Encrypted": True,
        "ClientToken": "data-i-1",
        "TagSpecifications": specified("volume", **named, **{"aws-bootstrap-format": "once"}),
    }
    stub.add_response("create_volume", {"VolumeId": "vol-1"}, wanted)
    made = ec2.create_ebs_volume(client, BOX, 96, {"team": "vision", "Name": "theirs"})
    assert (made.volume_id, made.size_gb, made.state, made.availability_zone) == ("vol-1", 96, "creating", "us-west-2b")


def test_a_volume_that_is_brought_must_be_free(client, stub):
    wanted = {"VolumeIds": ["vol-1"]}
    stub.add_response("describe_volumes", described(VOLUME), wanted)
    assert ec2.validate_ebs_volume(client, "vol-1").volume_id == "vol-1"
    stub.add_response("describe_volumes", described(VOLUME | {"State": "in-use"}), wanted)
    with pytest.raises(BootstrapError, match="vol-1 is in-use; a volume must be available") as caught:
        ec2.validate_ebs_volume(client, "vol-1")
    assert caught.value.code == "volume-in-use"
    assert "--region us-west-2 --volume-ids vol-1" in str(caught.value.hint)
    stub.add_response("describe_volumes", described({"VolumeId": "vol-1", "State": "available"}), wanted)
    with pytest.raises(AwsError, match="'AvailabilityZone'"):
        ec2.validate_ebs_volume(client, "vol-1")


def test_tags_that_keep_a_volume(client, stub):
    kept = {"Key": "aws-bootstrap-keep", "Value": "true"}
    meant = {"Key": "aws-bootstrap-instance", "Value": "i-1"}
    stub.add_response("create_tags", {}, {"Resources": ["vol-1"], "Tags": [meant, kept]})
    ec2.claim_ebs_volume(client, "vol-1", "i-1")
    stub.add_response("create_tags", {}, {"Resources": ["vol-1"], "Tags": [kept]})
    ec2.keep_ebs_volume(client, "vol-1")


ATTACH = {"VolumeId": "vol-1", "InstanceId": "i-1", "Device": "/dev/sdf"}


@pytest.mark.parametrize("code", ["IncorrectState", "InvalidVolume.NotFound"])
def test_a_volume_that_is_not_ready_is_attached_when_it_is(client, stub, code):
    stub.add_client_error("attach_volume", code, "")
    stub.add_response("attach_volume", {}, ATTACH)
    ec2.attach_ebs_volume(client, "vol-1", "i-1")
    stub.add_client_error("attach_volume", code, "")
    with pytest.raises(AwsError) as caught:
        ec2.attach_ebs_volume(client, "vol-1", "i-1", timeout=0.0)
    assert caught.value.aws_code == code


@pytest.mark.parametrize(("holder", "works"), [("i-1", True), ("i-2", False), (None, False)])
@pytest.mark.parametrize("code", ["VolumeInUse", "RequestLimitExceeded"])
def test_a_volume_that_is_attached_already_is_success_if_it_is_ours(client, stub, holder, works, code):
    stub.add_client_error("attach_volume", code, "")
    held = [{"InstanceId": holder}] if holder else []
    stub.add_response("describe_volumes", described(VOLUME | {"Attachments": held}), {"VolumeIds": ["vol-1"]})
    if works:
        ec2.attach_ebs_volume(client, "vol-1", "i-1")
    else:
        with pytest.raises(AwsError):
            ec2.attach_ebs_volume(client, "vol-1", "i-1")


def test_a_volume_that_is_gone_is_not_attached(client, stub):
    stub.add_client_error("attach_volume", "VolumeInUse", "")
    stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "")
    with refused("VolumeInUse"):
        ec2.attach_ebs_volume(client, "vol-1", "i-1")


@pytest.mark.parametrize(("state", "deleted"), [("deleting", True), ("deleted", True), ("available", None)])
def test_a_deletion_is_seen_in_the_volumes_state(client, stub, state, deleted):
    stub.add_response("describe_volumes", described(VOLUME | {"State": state}))
    assert ec2.find_deletion(client, "vol-1") is deleted


def test_a_refusal_to_attach_is_not_looked_into(client, stub):
    stub.add_client_error("attach_volume", "UnauthorizedOperation", "")
    with pytest.raises(AwsError):
        ec2.attach_ebs_volume(client, "vol-1", "i-1")


def test_detaching_is_asked_for_and_waited_for(client, stub):
    stub.add_response("detach_volume", {}, {"VolumeId": "vol-1"})
    ec2.detach_ebs_volume(client, "vol-1")
    stub.add_response("describe_volumes", described(VOLUME), {"VolumeIds": ["vol-1"]})
    ec2.wait_detached(client, "vol-1", "i-1", timeout=0.0)
    stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "")
    ec2.wait_detached(client, "vol-1", "i-1", timeout=0.0)
    stub.add_client_error("describe_volumes", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.wait_detached(client, "vol-1", "i-1", timeout=0.0)


@pytest.mark.parametrize(
    ("holder", "words"),
    [("i-1", "did not detach within 0 s"), ("i-2", "vol-1 is attached to i-2")],
    ids=["ours", "not"],
)
@pytest.mark.parametrize("state", ["in-use", None])
def test_a_volume_that_stays_attached_is_told(client, stub, holder, words, state):
    held = VOLUME | {"State": state, "Attachments": [{"InstanceId": holder}]}
    stub.add_response("describe_volumes", described({name: value for name, value in held.items() if value}))
    with pytest.raises(BootstrapError, match=words) as caught:
        ec2.wait_detached(client, "vol-1", "i-1", timeout=0.0)
    assert caught.value.code == "volume-in-use"


def test_a_volume_that_is_in_use_though_nothing_is_said_to_have_it_is_waited_for(client, stub):
    stub.add_response("describe_volumes", described(VOLUME | {"State": "in-use", "Attachments": []}))
    with pytest.raises(BootstrapError, match="did not detach"):
        ec2.wait_detached(client, "vol-1", "i-1", timeout=0.0)


def test_a_volume_is_deleted_and_one_that_is_gone_is_fine(client, stub):
    stub.add_response("delete_volume", {}, {"VolumeId": "vol-1"})
    ec2.delete_ebs_volume(client, "vol-1")
    stub.add_client_error("delete_volume", "InvalidVolume.NotFound", "")
    ec2.delete_ebs_volume(client, "vol-1")
    stub.add_client_error("delete_volume", "VolumeInUse", "")
    with refused("VolumeInUse"):
        ec2.delete_ebs_volume(client, "vol-1")


def test_leave_to_format_is_used_up_before_it_is_given(client, stub):
    without = VOLUME | {"Tags": VOLUME["Tags"][:-1]}
    taken = {"Resources": ["vol-1"], "Tags": [{"Key": "aws-bootstrap-format"}]}
    stub.add_response("describe_volumes", described(VOLUME), {"VolumeIds": ["vol-1"]})
    stub.add_response("delete_tags", {}, taken)
    stub.add_response("describe_volumes", described(without))
    assert volumes.revoke_format_permission(client, "vol-1") is True


def test_without_its_tag_a_volume_may_not_be_formatted(client, stub):
    without = VOLUME | {"Tags": VOLUME["Tags"][:-1]}
    stub.add_response("describe_volumes", described(without))
    assert volumes.revoke_format_permission(client, "vol-1") is False
    stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "")
    assert volumes.revoke_format_permission(client, "vol-1") is False


@pytest.mark.parametrize("gone", [True, False])
def test_a_tag_that_is_not_seen_to_go_gives_no_leave(client, stub, gone):
    stub.add_response("describe_volumes", described(VOLUME))
    stub.add_response("delete_tags", {})
    if gone:
        stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "")
    else:
        stub.add_response("describe_volumes", described(VOLUME))
    assert volumes.revoke_format_permission(client, "vol-1", timeout=0.0) is False


@pytest.mark.parametrize(("holder", "works"), [("i-1", True), ("i-2", False)])
def test_an_attachment_whose_answer_never_came_is_looked_into(client, stub, holder, works):
    def lost(**_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="https://ec2")

    client.meta.events.register_first("before-call.ec2.AttachVolume", lost)
    stub.add_response("describe_volumes", described(VOLUME | {"Attachments": [{"InstanceId": holder}]}))
    if works:
        ec2.attach_ebs_volume(client, "vol-1", "i-1")
    else:
        with pytest.raises(AwsError):
            ec2.attach_ebs_volume(client, "vol-1", "i-1")
