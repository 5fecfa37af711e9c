"""What may block the way to an instance besides its security group."""

from __future__ import annotations

from typing import Any

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.tests import factories

BOX = factories.instance(subnet_id="subnet-1", vpc_id="vpc-1")
ADDRESS = "203.0.113.7"


@pytest.mark.parametrize("mode", ["off", "block-ingress", "block-bidirectional"])
def test_the_public_access_block_of_the_region_is_read(client, stub, mode):
    stub.add_response(
        "describe_vpc_block_public_access_options", {"VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": mode}}
    )
    assert ec2.public_access_block(client) == mode


def table(*gateways: str, state: str = "active") -> dict[str, Any]:
    return {"Routes": [{"GatewayId": gateway, "State": state} for gateway in gateways]}


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ([table("local", "igw-1")], True),
        ([table("local", "vgw-1")], False),
        ([table("igw-1", state="blackhole")], False),
        ([{"Routes": [{"NatGatewayId": "nat-1", "State": "active"}]}], False),
    ],
)
def test_the_subnets_own_route_table_decides(client, stub, tables, found):
    named = {"Filters": [{"Name": "association.subnet-id", "Values": ["subnet-1"]}]}
    stub.add_response("describe_route_tables", {"RouteTables": tables}, named)
    assert ec2.has_internet_gateway(client, BOX) is found


@pytest.mark.parametrize(("gateway", "found"), [("igw-1", True), ("local", False)])
def test_a_subnet_without_a_route_table_has_the_main_one(client, stub, gateway, found):
    stub.add_response("describe_route_tables", {"RouteTables": []})
    main = {
        "Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}, {"Name": "association.main", "Values": ["true"]}],
    }
    stub.add_response("describe_route_tables", {"RouteTables": [table(gateway)]}, main)
    assert ec2.has_internet_gateway(client, BOX) is found


def entry(number: int, action: str, *, egress: bool = False, cidr: str = "0.0.0.0/0", **more: Any) -> dict[str, Any]:
    known = {"RuleNumber": number, "RuleAction": action, "Egress": egress, "CidrBlock": cidr, "Protocol": "-1"}
    return known | more


OUT = entry(100, "allow", egress=True)
SSH = {"From": 22, "To": 22}


@pytest.mark.parametrize(
    ("entries", "allows"),
    [
        ([entry(100, "allow"), OUT], True),
        ([OUT], False),
        ([entry(100, "allow")], False),
        ([entry(100, "allow"), entry(90, "deny", Protocol="6", PortRange=SSH), OUT], False),
        ([entry(100, "allow"), entry(110, "deny"), OUT], True),
        ([entry(100, "allow"), entry(90, "deny", Protocol="17"), OUT], True),
        ([entry(100, "allow"), entry(90, "deny", Protocol="6", PortRange={"From": 80, "To": 80}), OUT], True),
        ([entry(100, "allow", cidr="198.51.100.0/24"), OUT], False),
        ([entry(100, "allow"), entry(100, "allow", egress=True, Protocol="6", PortRange=SSH)], False),
    ],
)
def test_the_network_acl_decides_by_its_first_entry_in_each_direction(client, stub, entries, allows):
    stub.add_response("describe_network_acls", {"NetworkAcls": [{"Entries": entries}]})
    assert ec2.acl_allows(client, BOX, ADDRESS, 22) is allows
