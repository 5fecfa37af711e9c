"""What is said where SSH gets no answer though the rules of the box are right."""

from __future__ import annotations

import pytest

from aws_bootstrap import address
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.sshconfig import find, hosts, read
from aws_bootstrap.workflows.unreachable import timeout_hint

PROXY = "http://me:secret@proxy.example.com:3128"


@pytest.fixture
def hint(app, cloud, box, my_address):
    """What is said of a box in the default VPC, whose group allows every address."""
    west = cloud.ec2("us-west-2")
    group = west.create_security_group(GroupName="open", Description="open")["GroupId"]
    west.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=f"{my_address}/32"
    )
    box(SecurityGroupIds=[group])
    host = find(read(app.paths.ssh_config), "aws-gpu1")
    assert host
    return lambda: timeout_hint(app, host)


def test_nothing_is_said_where_nothing_blocks(hint):
    assert hint() is None


@pytest.mark.parametrize(
    ("action", "command"), [("stop_instances", "start aws-gpu1"), ("terminate_instances", "cleanup")]
)
def test_a_box_that_does_not_run_is_said_to_be_so(hint, app, cloud, action, command):
    (instance_id,) = [one.instance_id for one in hosts(read(app.paths.ssh_config))]
    getattr(cloud.ec2("us-west-2"), action)(InstanceIds=[instance_id])
    assert hint().endswith(f"{PROGRAM} {command}")


def test_the_public_access_block_is_named(hint, cloud):
    cloud.public_access = "block-ingress"
    assert "VPC Block Public Access (block-ingress) is on in us-west-2" in hint()


def test_a_subnet_without_an_internet_gateway_is_named(hint, cloud):
    cloud.route_target = "local"
    assert "has no route to an internet gateway" in hint()


def test_a_network_acl_that_blocks_is_named(hint, cloud):
    west = cloud.ec2("us-west-2")
    acl = west.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"]
    west.create_network_acl_entry(
        NetworkAclId=acl,
        RuleNumber=1,
        Protocol="6",
        RuleAction="deny",
        Egress=False,
        CidrBlock="0.0.0.0/0",
        PortRange={"From": 22, "To": 22},
    )
    assert "The network ACL of subnet-" in hint()
    assert "blocks port 22" in hint()


def test_what_may_not_be_read_is_left_out(hint, cloud):
    for operation in ("DescribeRouteTables", "DescribeNetworkAcls", "DescribeVpcBlockPublicAccessOptions"):
        cloud.deny("us-west-2", operation)
    assert hint() is None


def test_an_address_found_through_a_proxy_is_said_so(hint, my_address, monkeypatch):
    """The service of this test is behind the proxy by its name alone: nothing is sent to it."""
    assert hint() is None
    monkeypatch.setenv("AWS_BOOTSTRAP_CHECKIP_URL", "https://checkip.amazonaws.com")
    monkeypatch.setenv("https_proxy", PROXY.replace("proxy.example.com:3128", "127.0.0.1:9"))
    told = hint()
    assert "through the proxy http://127.0.0.1:9" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"https_proxy": PROXY}, "http://proxy.example.com:3128"),
        ({"HTTPS_PROXY": PROXY}, "http://proxy.example.com:3128"),
        ({"http_proxy": PROXY}, None),
        ({"https_proxy": PROXY, "no_proxy": "amazonaws.com"}, None),
    ],
)
def test_the_proxy_is_that_of_the_address_service(monkeypatch, environ, proxy):
    monkeypatch.delenv("AWS_BOOTSTRAP_CHECKIP_URL")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert address.address_proxy() == proxy
