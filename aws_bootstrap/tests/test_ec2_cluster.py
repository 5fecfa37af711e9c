"""The EC2 verbs of clusters, against the sandbox's EC2: ranks by tags, placement groups, the group within a cluster."""

from __future__ import annotations

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.config import TAG_CLUSTER, TAG_RANK, TAG_RANKS
from aws_bootstrap.ec2 import tags
from aws_bootstrap.errors import AwsError


@pytest.mark.parametrize(
    ("ranks", "text"),
    [([0], "0"), ([0, 1, 2, 3], "0-3"), ([1, 3], "1,3"), ([0, 1, 4, 6, 7], "0-1,4,6-7")],
)
def test_each_instance_of_one_call_knows_its_rank_from_the_first_moment_on(ranks, text):
    named = tags.of_ranks("train", ranks)
    assert named[TAG_CLUSTER] == "train"
    assert named[TAG_RANKS] == text
    assert [tags.rank(named, index) for index in range(len(ranks))] == ranks


def test_a_rank_of_its_own_takes_precedence():
    assert tags.rank(tags.of_ranks("train", [0, 1]) | {TAG_RANK: "5"}, 1) == 5


@pytest.mark.parametrize("ranks", ["", "x", "1-", "-", "0-1"])
def test_tags_that_somebody_has_edited_give_no_rank(ranks):
    assert tags.rank({TAG_CLUSTER: "train", TAG_RANKS: ranks}, 2) is None


def test_a_box_of_its_own_has_no_rank():
    assert tags.rank({TAG_RANKS: "0-3"}, 2) is None


def test_the_placement_group_is_created_once_with_its_tags(cloud):
    client = cloud.ec2(cloud.region)
    group, created = ec2.ensure_placement_group(client, "aws-bootstrap-cluster-train", None, {TAG_CLUSTER: "train"})
    again, created_again = ec2.ensure_placement_group(client, group.name, None, {TAG_CLUSTER: "train"})
    assert (created, created_again) == (True, False)
    assert again == group
    assert (group.strategy, group.cluster, group.created_by_us) == ("cluster", "train", True)
    assert ec2.find_placement_groups(client) == [group]
    assert ec2.delete_placement_group(client, group.name)
    assert ec2.delete_placement_group(client, group.name)
    assert ec2.find_placement_group(client, group.name) is None


def test_the_cluster_s_group_allows_all_traffic_within_it_and_nothing_else(cloud):
    client = cloud.ec2(cloud.region)
    vpc_id = ec2.find_network(client, ()).vpc_id
    group, _ = ec2.ensure_security_group(
        client, vpc_id, "aws-bootstrap-cluster-train", None, {TAG_CLUSTER: "train"}, description=ec2.GROUP_DESCRIPTION
    )
    for _ in range(2):
        ec2.ensure_traffic_within(client, group, {TAG_CLUSTER: "train"})
    (found,) = ec2.find_cluster_groups(client)
    assert found.allows_itself
    assert found.rules == frozenset()
    assert found.cluster == "train"
    assert ec2.delete_security_group(client, group.group_id)
    assert ec2.delete_security_group(client, group.group_id)
    assert ec2.find_cluster_groups(client) == []


def test_a_group_in_use_is_not_deleted(cloud):
    client = cloud.ec2(cloud.region)
    group, _ = ec2.ensure_placement_group(client, "aws-bootstrap-cluster-train", None, {TAG_CLUSTER: "train"})
    cloud.placement_groups.in_use.add(group.name)
    with pytest.raises(AwsError) as caught:
        ec2.delete_placement_group(client, group.name, timeout=0)
    assert caught.value.aws_code == "InvalidPlacementGroup.InUse"
