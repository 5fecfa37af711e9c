"""The way from the internet to an instance: what may block it besides the security group."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..models import Instance

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, NetworkAclEntryTypeDef, RouteTableTypeDef

#: A port from which clients connect: Linux chooses among 32768 to 60999. Network ACLs are stateless, so that the answer
#: must be allowed as well.
_CLIENT_PORT = 50000
_ALL_PROTOCOLS = "-1"
_TCP = "6"


@translate_aws_errors()
def public_access_block(ec2: EC2Client) -> str:
    """Return the region's mode of VPC Block Public Access: `off`, `block-ingress` or `block-bidirectional`."""
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    return options["InternetGatewayBlockMode"]


@translate_aws_errors()
def has_internet_gateway(ec2: EC2Client, instance: Instance) -> bool:
    """Return whether the subnet of the instance has a route to an internet gateway."""
    tables = _route_tables(ec2, [{"Name": "association.subnet-id", "Values": [instance.subnet_id]}])
    if not tables:  # a subnet without a table of its own has the VPC's main one
        main: list[FilterTypeDef] = [
            {"Name": "vpc-id", "Values": [instance.vpc_id]},
            {"Name": "association.main", "Values": ["true"]},
        ]
        tables = _route_tables(ec2, main)
    for table in tables:
        for route in table.get("Routes", []):
            if route.get("GatewayId", "").startswith("igw-") and route.get("State") != "blackhole":
                return True
    return False


def _route_tables(ec2: EC2Client, filters: Sequence[FilterTypeDef]) -> list[RouteTableTypeDef]:
    return ec2.describe_route_tables(Filters=filters)["RouteTables"]


@translate_aws_errors()
def acl_allows(ec2: EC2Client, instance: Instance, address: str, port: int) -> bool:
    """Return whether the network ACL of the instance's subnet allows TCP from the address to the port, and back."""
    filters: list[FilterTypeDef] = [{"Name": "association.subnet-id", "Values": [instance.subnet_id]}]
    for acl in ec2.describe_network_acls(Filters=filters)["NetworkAcls"]:
        entries = acl["Entries"]
        inbound = [entry for entry in entries if not entry.get("Egress")]
        outbound = [entry for entry in entries if entry.get("Egress")]
        if not _allows(inbound, address, port) or not _allows(outbound, address, _CLIENT_PORT):
            return False
    return True


def _allows(entries: Sequence[NetworkAclEntryTypeDef], address: str, port: int) -> bool:
    """Return whether the entry that decides about this address and port allows it: the one of the lowest number."""
    for entry in sorted(entries, key=_number):
        if _concerns(entry, address, port):
            return entry.get("RuleAction") == "allow"
    return False


def _number(entry: NetworkAclEntryTypeDef) -> int:
    return entry.get("RuleNumber", 0)


def _concerns(entry: NetworkAclEntryTypeDef, address: str, port: int) -> bool:
    """Return whether the entry is about TCP with this address and port."""
    cidr = entry.get("CidrBlock") or entry.get("Ipv6CidrBlock")
    if cidr is None or ipaddress.ip_address(address) not in ipaddress.ip_network(cidr, strict=False):
        return False
    protocol = entry.get("Protocol")
    if protocol == _ALL_PROTOCOLS:
        return True
    if protocol != _TCP:
        return False
    ports = entry.get("PortRange", {})
    return ports.get("From", 0) <= port <= ports.get("To", 65535)
