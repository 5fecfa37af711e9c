"""The id of a cluster as a name: all its nodes, where a command takes several boxes."""

from __future__ import annotations

import pytest

from aws_bootstrap.errors import BootstrapError, UsageError
from aws_bootstrap.tests.clusters import start_nodes
from aws_bootstrap.workflows import logs, pick
from aws_bootstrap.workflows.inventory import select, select_one

EAST, WEST = "us-east-1", "us-west-2"


def ids(boxes) -> list[str]:
    return [box.instance_id for box in boxes]


def test_commands_on_several_boxes_take_all_nodes_in_the_order_of_their_ranks(app, cloud, box):
    alone = box()
    nodes = start_nodes(app, range(11))
    cloud.calls.clear()
    assert ids(pick.hosts(app, ["train", "aws-train-3", "aws-gpu1"])) == [*nodes, alone]
    assert cloud.calls == []


def test_a_command_on_one_box_says_which_nodes_there_are(app, cloud):
    (node,) = start_nodes(app, [0])
    assert pick.host(app, "train").instance_id == node
    start_nodes(app, [1])
    with pytest.raises(UsageError) as caught:
        pick.host(app, "train")
    assert str(caught.value) == "train is a cluster: aws-train-0, aws-train-1. Name one of its nodes."
    assert "cluster status --cluster-id train" in str(caught.value.hint)


@pytest.mark.parametrize(
    "words",
    [
        ("rename", "train", "new"),
        ("setup", "train"),
        ("volume", "snapshot", "train"),
        ("bake", "train", "--yes"),
        ("cp", "train:log", "."),
        ("logs", "train"),
        ("ssh", "train", "--", "ls"),
    ],
    ids=lambda words: words[0],
)
def test_no_node_is_taken_where_one_box_is_meant(run, app, cloud, words):
    start_nodes(app, [0, 1])
    done = run(*words)
    assert "train is a cluster: aws-train-0, aws-train-1." in done.stderr
    assert done.exit_code == 2


def test_ec2_knows_the_nodes_that_this_machine_has_no_alias_for(app, cloud):
    known = start_nodes(app, [0])
    unknown = start_nodes(app, [1], alias=False)
    assert ids(select(app, ["train"])) == [*known, *unknown]


def test_nodes_that_have_ended_are_left_out(app, cloud):
    ended, living = start_nodes(app, [0, 1])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ended])
    assert ids(select(app, ["train"])) == [living]
    assert select_one(app, "train").alias == "aws-train-1"
    cloud.ec2(WEST).terminate_instances(InstanceIds=[living])
    with pytest.raises(BootstrapError) as caught:
        select(app, ["train"])
    assert (caught.value.code, str(caught.value)) == ("not-found", "The nodes of the cluster train have ended.")
    assert "aws-bootstrap} cluster terminate train" in str(caught.value.hint)


def test_a_cluster_of_that_id_of_somebody_else_is_not_meant(app, cloud):
    own = start_nodes(app, [0])
    start_nodes(app, [1, 2], owner="AIDASOMEBODYELSE", alias=False)
    assert ids(select(app, ["train"])) == own
    cloud.ec2(WEST).terminate_instances(InstanceIds=own)
    with pytest.raises(BootstrapError, match="have ended"):
        select(app, ["train"])


def test_an_alias_is_a_box_though_a_cluster_has_that_id(app, cloud):
    nodes = start_nodes(app, [0, 1])
    start_nodes(app, [0], cluster_id="aws-train-1", alias=True)
    assert ids(select(app, ["aws-train-1"])) == [nodes[1]]
    assert pick.host(app, "aws-train-1").instance_id == nodes[1]


def test_an_alias_that_looks_like_that_of_a_node_is_no_node(app, cloud, box, run):
    start_nodes(app, [0])
    other = box()
    assert run("rename", "aws-gpu1", "aws-train-1").exit_code == 0
    assert other not in ids(pick.hosts(app, ["train"]))
    assert other not in ids(select(app, ["train"]))


def test_a_region_that_does_not_answer_hides_no_node(app, cloud):
    start_nodes(app, [0])
    cloud.deny(WEST)
    with pytest.raises(BootstrapError):
        select(app, ["train"])


def test_the_word_of_logs_may_be_a_cluster(app, cloud):
    start_nodes(app, [0, 1])
    assert logs.box_and_run(app, ["train"]) == ("train", None)
    assert logs.box_and_run(app, ["3"]) == (None, "3")


def test_a_node_is_not_launched_again_as_a_box_of_its_own(run, app, cloud):
    (node,) = start_nodes(app, [0])
    for name in ("aws-train-0", node):
        done = run("relaunch", name, "--yes")
        assert done.exit_code == 2
        assert f"{name} is a node of the cluster train." in done.stderr
        assert "aws-bootstrap cluster launch --cluster-id train --nodes NUMBER" in done.stderr
    cloud.ec2(WEST).terminate_instances(InstanceIds=[node])
    assert run("relaunch", "aws-train-0").exit_code == 2
