"""Where a launch may go: the subnets that were passed, in their order, and the zone of a data volume."""

from __future__ import annotations

from typing import Any

import pytest

from aws_bootstrap.tests.programs import Program, writes

NO_ROOM = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}
IN_SUBNET = "NetworkInterface.1.SubnetId"


@pytest.fixture
def subnets(program) -> dict[str, str]:
    """The default subnets of us-west-2, by zone."""
    found = program.sandbox.client().describe_subnets()["Subnets"]
    return {one["AvailabilityZone"]: one["SubnetId"] for one in found}


def tried(program: Program) -> list[str]:
    return [call["parameters"][IN_SUBNET] for call in program.sandbox.log("RunInstances")]


def options(subnets: dict[str, str], *letters: str) -> list[str]:
    words: list[str] = []
    for letter in letters:
        words += ["--subnet-id", subnets[f"us-west-2{letter}"]]
    return words


def test_subnets_are_tried_in_their_order(program, subnets):
    first = subnets["us-west-2b"]
    program.sandbox.fault(action="RunInstances", match={IN_SUBNET: first}, do=NO_ROOM)
    code, box = program.json("launch", "--no-setup", *options(subnets, "b", "a"))
    assert code == 0
    assert tried(program) == [first, subnets["us-west-2a"]]
    assert (box["availability_zone"], box["pricing"]) == ("us-west-2a", "spot")
    assert [warning["code"] for warning in box["warnings"]] == ["no-capacity"]
    assert f"in {first}, us-west-2" in box["warnings"][0]["message"]


def test_each_subnet_has_its_reason_in_the_end(program, subnets):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    _, failed = program.json("launch", "--on-demand", *options(subnets, "b", "a"))
    reasons = [reason["reason"].partition(":")[0] for reason in failed["error"]["regions"]]
    assert reasons == [subnets["us-west-2b"], subnets["us-west-2a"]]


def test_a_full_subnet_is_missing_capacity(program, subnets):
    full = {"error": "InsufficientFreeAddressesInSubnet", "message": "There are not enough free addresses."}
    program.sandbox.fault(action="RunInstances", match={IN_SUBNET: subnets["us-west-2b"]}, do=full)
    code, box = program.json("launch", "--no-setup", *options(subnets, "b", "a"))
    assert (code, box["availability_zone"]) == (0, "us-west-2a")


def test_a_type_that_the_zone_of_the_only_subnet_lacks_is_not_waited_for(program, subnets):
    said = {"error": "Unsupported", "message": "Your requested instance type is not supported in this zone."}
    program.sandbox.fault(action="RunInstances", do=said)
    code, failed = program.json("launch", "--wait", *options(subnets, "a"))
    assert (code, failed["error"]["code"]) == (1, "bad-instance-type")
    assert len(tried(program)) == 1


def test_the_zone_of_a_volume_chooses_among_the_subnets(program, subnets):
    volume = program.sandbox.client().create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
    code, plan = program.json("launch", "--dry-run", "--ebs-volume-id", volume, *options(subnets, "b", "a"))
    assert (code, plan["availability_zone"]) == (0, "us-west-2a")
    assert plan["subnet_ids"] == [subnets["us-west-2b"], subnets["us-west-2a"]]
    code, failed = program.json("launch", "--ebs-volume-id", volume, *options(subnets, "b"))
    assert code == 1
    assert "is in us-west-2a, and none of the subnets is" in failed["error"]["message"]


def test_a_subnet_that_does_not_exist_is_named_beside_one_that_does(program, subnets):
    missing = "subnet-00000000000000000"
    code, failed = program.json("launch", "--subnet-id", missing, *options(subnets, "a"))
    assert (code, failed["error"]["code"]) == (1, "not-found")
    assert missing in failed["error"]["message"]
    assert subnets["us-west-2a"] not in failed["error"]["message"]
    assert writes(program) == []


def test_a_default_vpc_without_subnets_names_the_option(program):
    said = {
        "error": "MissingInput",
        "message": "No subnets found for the default VPC. Please specify a subnet.",
    }
    program.sandbox.fault(action="RunInstances", do=said)
    code, failed = program.json("launch", "--region", "us-east-1")
    assert (code, failed["error"]["code"]) == (1, "no-default-vpc")
    assert failed["error"]["hint"].splitlines()[0] == (
        "Name a public subnet with --subnet-id, or create a default subnet: "
        "aws ec2 create-default-subnet --region us-east-1 --availability-zone ZONE"
    )
    assert failed["error"]["next"] == [], "the reader fills in the zone, so it does not run as it is"


def tagged(resources: list[dict[str, Any]], kind: str) -> set[str | None]:
    return {one["tags"].get("team") for one in resources if one["type"] == kind and "created-by" in one["tags"]}


def test_the_users_tags_are_on_all_that_is_created(program):
    words = ("--ebs-storage", "1", "--tag", "team=vision", "--tag", "Name=mine")
    assert program.json("launch", "--no-setup", *words)[0] == 0
    found = program.sandbox.inventory()
    for kind in ("instance", "volume", "key-pair", "security-group", "rule"):
        assert tagged(found, kind) == {"vision"}, kind
    shared = [one["tags"].get("Name") for one in found if one["type"] in ("key-pair", "security-group")]
    assert "mine" not in shared, "later launches use them, too"
