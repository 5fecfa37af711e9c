"""The rule by which the nodes of a cluster reach each other is nobody's way in: it changes nothing of `access`."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap.models import IngressRule
from aws_bootstrap.tests.clusters import share, start_nodes
from aws_bootstrap.tests.test_access import HOME, ME, make_group, sources
from aws_bootstrap.workflows.hosts import ssh_port

WEST = "us-west-2"


@pytest.fixture
def node(app, cloud):
    """Start a node in the SSH group and in that of its cluster, in this order. Return its id and the groups."""

    def start(*, cluster_first: bool = False, **group) -> tuple[str, str, str]:
        ssh = make_group(cloud.ec2(WEST), **group)
        of_cluster = share(app)
        groups = [of_cluster, ssh] if cluster_first else [ssh, of_cluster]
        (instance_id,) = start_nodes(app, [0], alias=False, SecurityGroupIds=groups)
        return instance_id, ssh, of_cluster

    return start


def shown(run, *words) -> dict:
    done = run("access", *words, "-o", "json")
    assert done.exit_code == 0, done.output
    (box,) = json.loads(done.stdout)["boxes"]
    return box


def test_the_rule_of_the_cluster_is_shown_and_says_nothing_of_ones_own_address(run, cloud, my_address, node):
    _, ssh, of_cluster = node()
    box = shown(run)
    assert box["reachable"] is False
    assert [(rule["source"], rule["security_group"]) for rule in box["rules"]] == [
        (HOME, ssh),
        (of_cluster, of_cluster),
    ]
    text = run("access").stdout
    assert "the other nodes of its cluster" in text
    assert "not open to you" in text


@pytest.mark.parametrize("cluster_first", [False, True])
def test_a_change_replaces_the_rule_for_ssh_and_leaves_the_cluster_alone(run, cloud, my_address, node, cluster_first):
    _, ssh, of_cluster = node(cluster_first=cluster_first)
    box = shown(run, "--ssh-cidr", "me")
    assert (box["added"], box["removed"], box["reachable"]) == ([f"{ME}/32"], [HOME], True)
    assert sources(cloud.ec2(WEST), ssh) == {(f"{ME}/32", True)}
    assert sources(cloud.ec2(WEST), of_cluster) == {(of_cluster, True)}


@pytest.mark.parametrize("cluster_first", [False, True])
def test_the_first_rule_for_ssh_is_not_put_into_the_group_of_the_cluster(run, cloud, my_address, node, cluster_first):
    _, ssh, of_cluster = node(cluster_first=cluster_first, cidrs=())
    assert shown(run, "--ssh-cidr", "me")["added"] == [f"{ME}/32"]
    assert sources(cloud.ec2(WEST), ssh) == {(f"{ME}/32", True)}
    assert sources(cloud.ec2(WEST), of_cluster) == {(of_cluster, True)}


def test_the_port_of_a_node_is_that_of_the_rule_for_ssh(run, cloud, my_address, node):
    node(cluster_first=True, port=2222)
    assert shown(run)["ssh_port"] == 2222
    of_cluster = IngressRule("sgr-1", "sg-1", 0, 65535, "sg-1", created_by_us=True)
    of_ssh = IngressRule("sgr-2", "sg-2", 2222, 2222, HOME, created_by_us=True)
    assert ssh_port([of_cluster, of_ssh]) == 2222
    assert ssh_port([of_cluster]) == 22
