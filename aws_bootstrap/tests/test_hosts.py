"""How ssh reaches a box that this machine has no alias for: made of what EC2 says of it, its image and its rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.models import IngressRule, Instance
from aws_bootstrap.paths import Paths
from aws_bootstrap.sshconfig import Host
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.tests.test_access import make_group
from aws_bootstrap.workflows.hosts import new_host, read_hosts, ssh_port

EAST, WEST = "us-east-1", "us-west-2"


def instances(cloud, *regions: str) -> list[Instance]:
    """The boxes of these regions, as this tool reads them."""
    return [instance for region in regions for instance in ec2.find_instances(cloud.ec2(region))]


def named_images(cloud, **names: str) -> None:
    """Have EC2 name images so, by the last digit of their id; others were withdrawn."""

    def rename(reply):
        for image in reply["Images"]:
            image["Name"] = names.get(f"n{image['ImageId'][-1]}", "")
        reply["Images"] = [image for image in reply["Images"] if image["Name"]]

    cloud.faults.change_answer("DescribeImages", rename)


@pytest.fixture
def three(cloud) -> list[Instance]:
    """Two boxes in the west, of different images and ports, and one in the east, whose image was withdrawn."""
    west, east = cloud.ec2(WEST), cloud.ec2(EAST)
    low, high = make_group(west, name="low"), make_group(west, name="high", port=2222)
    start_box(west, SecurityGroupIds=[low], ImageId="ami-00000000000000001")
    start_box(west, SecurityGroupIds=[high], ImageId="ami-00000000000000002")
    start_box(east, SecurityGroupIds=[make_group(east, port=2200)], ImageId="ami-00000000000000003")
    named_images(cloud, n1="amzn2-ami", n2="ubuntu-noble")
    return instances(cloud, WEST, EAST)


@pytest.mark.parametrize("user", [None, "me"])
def test_user_and_port_are_those_of_each_box(app, cloud, key, three, user):
    cloud.calls.clear()
    found = read_hosts(app, three, LaunchConfig(ssh_user=user))
    wanted = [
        ("ami-00000000000000001", "ec2-user", 22, WEST),
        ("ami-00000000000000002", "ubuntu", 2222, WEST),
        ("ami-00000000000000003", "ubuntu", 2200, EAST),
    ]
    by_image = {instance.image_id: instance for instance in three}
    assert sorted(found, key=lambda host: (host.region, host.port), reverse=True) == sorted(
        (
            Host(
                instance_id=by_image[image].instance_id,
                alias="",
                hostname=by_image[image].public_ip or "",
                user=user or login,
                identity_file=str(key.identity_file),
                known_hosts=str(app.paths.known_hosts),
                port=port,
                region=region,
            )
            for image, login, port, region in wanted
        ),
        key=lambda host: (host.region, host.port),
        reverse=True,
    )
    asked = sorted(cloud.calls)
    images = [] if user else [(region, "DescribeImages") for region in (EAST, WEST)]
    assert asked == sorted([*images, *[(region, "DescribeSecurityGroupRules") for region in (EAST, WEST)]])


def test_the_host_of_a_node_knows_its_cluster(app, key, three):
    (found,) = read_hosts(app, [replace(three[0], cluster="train", rank=1)], LaunchConfig())
    assert (found.cluster, found.rank, found.node_alias) == ("train", 1, "aws-train-1")


def test_without_a_key_the_error_names_the_option(app, three):
    with pytest.raises(BootstrapError) as raised:
        read_hosts(app, three, LaunchConfig())
    public = LaunchConfig().public_key
    assert (raised.value.code, raised.value.hint, str(raised.value)) == (
        "ssh-key",
        "Name the key that opens your boxes: --key-path PATH.pub",
        f"There is no SSH key {public} for the aliases to add.",
    )


def test_a_reply_without_security_groups_is_not_believed(app, key, three):
    """An alias with a guessed port would stay."""
    odd = replace(three[1], group_ids=())
    with pytest.raises(AwsError) as raised:
        read_hosts(app, [three[0], odd], LaunchConfig())
    assert raised.value.code == "unexpected-reply"
    assert odd.instance_id in str(raised.value)


def test_a_box_yet_to_be_launched_has_an_id_and_an_address_that_no_box_has():
    paths = Paths({"AWS_BOOTSTRAP_HOME": "/tmp/ours"})
    assert new_host(paths, None, user="me", port=2222, identity_file=Path("/keys/id")) == Host(
        instance_id="i-00000000000000000",
        alias="",
        hostname="192.0.2.1",
        user="me",
        identity_file="/keys/id",
        known_hosts="/tmp/ours/known_hosts",
        port=2222,
        region=None,
    )


@pytest.mark.parametrize(("home", "identity"), [('/tmp/o"rs', "/keys/id"), ("/tmp/ours", '/keys/i"d')])
def test_a_path_that_an_ssh_config_cannot_hold_is_refused(home, identity):
    with pytest.raises(BootstrapError) as raised:
        new_host(Paths({"AWS_BOOTSTRAP_HOME": home}), None, user="me", port=22, identity_file=Path(identity))
    assert raised.value.code == "ssh-config"


def rule(port: int, *, ours: bool = True) -> IngressRule:
    return IngressRule("sgr-1", "sg-1", port, port, "192.0.2.0/24", ours)


@pytest.mark.parametrize(
    ("rules", "port"),
    [
        ([], 22),
        ([rule(2222)], 2222),
        ([rule(2222), rule(2200)], 2222),
        ([rule(2222), rule(22)], 22),
        ([rule(2222, ours=False)], 22),
        ([rule(2200, ours=False), rule(2222)], 2222),
    ],
)
def test_the_port_is_that_of_our_rules(rules, port):
    assert ssh_port(rules) == port
