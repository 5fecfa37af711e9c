"""The end of a cluster: its nodes, their volumes and aliases, what they share; and what remains where that fails."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.models import TerminationTarget
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume
from aws_bootstrap.tests.clusters import share, shared, start_nodes
from aws_bootstrap.tests.schema_check import validate
from aws_bootstrap.views import questions
from aws_bootstrap.workflows import selection
from aws_bootstrap.workflows.cluster import ending

EAST, WEST = "us-east-1", "us-west-2"
OTHER = "AIDASOMEBODYELSE"
GROUP = "aws-bootstrap-cluster-train"
NOTHING: tuple[list[str], list[str]] = ([], [])


def end(run, *words, name="train"):
    """Exit code and document of a `cluster terminate`."""
    done = run("cluster", "terminate", name, *words, "--yes", "-o", "json")
    document = json.loads(done.stdout)
    if "terminated" in document:
        validate("cluster-terminate", document)
    return done.exit_code, document


def end_boxes(run, *words):
    """Exit code and document of a `terminate`."""
    done = run("terminate", *words, "--yes", "-o", "json")
    document = json.loads(done.stdout)
    validate("terminate", document)
    return done.exit_code, document


def states(cloud, *instance_ids, region=WEST) -> set[str]:
    return {one.state for one in ec2.get_instances(cloud.ec2(region), list(instance_ids))}


def aliases(app) -> list[str]:
    return sorted(host.alias for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config)))


def volumes(cloud) -> set[str]:
    return {volume.volume_id for volume in ec2.find_volumes(cloud.ec2(WEST))}


def resources(failed) -> set[tuple[str, str, bool]]:
    return {(one["type"], one["id"], one["billing"]) for one in failed["error"]["resources"]}


def complete(run, failed) -> None:
    """Run the command that the hint prints: afterwards nothing may be left."""
    lines = [line.partition(": aws-bootstrap ")[2] for line in failed["error"]["hint"].splitlines()]
    (words,) = {line for line in lines if line.startswith("cluster terminate")}
    done = run(*words.split(), "--yes", "-o", "json")
    assert done.exit_code == 0, done.stdout


# --- what goes -------------------------------------------------------------------------------------------


def test_nothing_of_a_cluster_is_left_but_other_boxes_are(run, app, cloud, box):
    alone = box()
    nodes = start_nodes(app, [0, 1, 2])
    others = start_nodes(app, [0], cluster_id="other")
    volume = make_volume(cloud.ec2(WEST), nodes[1])
    share(app)
    of_other = share(app, cluster_id="other")
    code, ended = end(run)
    assert code == 0
    assert (ended["cluster_id"], ended["region"]) == ("train", WEST)
    assert [one["instance_id"] for one in ended["terminated"]] == nodes
    assert [one.get("ebs_volumes_deleted") for one in ended["terminated"]] == [None, [volume], None]
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (True, True)
    assert ended["aliases_removed"] == ["aws-train-0", "aws-train-1", "aws-train-2"]
    assert states(cloud, *nodes) == {"terminated"}
    assert states(cloud, alone, *others) == {"running"}
    assert shared(app) == (["aws-bootstrap-cluster-other"], [of_other])
    assert aliases(app) == ["aws-gpu1", "aws-other-0"]
    assert volumes(cloud) == set()


def test_nodes_are_waited_for_until_each_is_terminated(app, cloud):
    nodes = start_nodes(app, [0, 1])
    client = cloud.ec2(WEST)
    client.terminate_instances(InstanceIds=nodes)
    seen: list[str] = []

    def still_ending(reply) -> None:
        """Have the answer say of one node at a time that it is not terminated yet."""
        if len(seen) < 2:
            instance = reply["Reservations"][0]["Instances"][len(seen)]
            instance["State"]["Name"] = "shutting-down"
            seen.append(instance["InstanceId"])

    cloud.faults.change_answer("DescribeInstances", still_ending)
    ec2.wait_terminated(client, nodes, every=0)
    assert sorted(seen) == sorted(nodes)


def test_a_node_that_does_not_end_is_named(app, cloud):
    nodes = start_nodes(app, [0, 1])
    with pytest.raises(BootstrapError, match=f"{nodes[0]}, {nodes[1]} are not terminated after 0 s") as caught:
        ec2.wait_terminated(cloud.ec2(WEST), nodes, timeout=0)
    assert caught.value.code == "instance-timeout"


def test_the_id_may_be_an_option(run, app, cloud):
    start_nodes(app, [0])
    done = run("cluster", "terminate", "--cluster-id", "train", "--yes", "-o", "json")
    assert done.exit_code == 0
    for words in ((), ("train", "--cluster-id", "other")):
        assert run("cluster", "terminate", *words, "--yes").exit_code == 2


def test_volumes_are_kept_where_that_is_requested(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    kept = make_volume(cloud.ec2(WEST), nodes[0])
    code, ended = end(run, "--keep-ebs")
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_kept"] == [kept]
    assert volumes(cloud) == {kept}
    assert any("--ebs-volume-id" in one["argv"] for one in ended["next"])


def test_a_cluster_without_groups_has_none_deleted(run, app, cloud):
    start_nodes(app, [0])
    code, ended = end(run)
    assert code == 0
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (None, None)


def test_what_ended_nodes_left_is_removed(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    volume = make_volume(cloud.ec2(WEST), nodes[1])
    share(app)
    cloud.ec2(WEST).terminate_instances(InstanceIds=nodes)
    code, ended = end(run)
    assert code == 0
    assert [one["instance_id"] for one in ended["terminated"]] == [nodes[1]]
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [volume]
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (True, True)
    assert aliases(app) == []
    assert volumes(cloud) == set()
    assert shared(app) == NOTHING


def test_it_may_be_repeated_for_as_long_as_ec2_knows_the_nodes(run, app, cloud):
    start_nodes(app, [0, 1])
    assert end(run)[0] == 0
    code, ended = end(run)
    assert (code, ended["terminated"]) == (0, [])
    done = run("cluster", "terminate", "train", "--yes")
    assert "Nothing is left of the cluster train in us-west-2." in done.stdout


def test_the_alias_of_a_node_that_ec2_has_forgotten_is_a_trace(run, app, cloud):
    (node,) = start_nodes(app, [0])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[node])
    cloud.faults.change_answer("DescribeInstances", lambda reply: reply.update(Reservations=[]))
    code, ended = end(run)
    assert (code, ended["aliases_removed"]) == (0, ["aws-train-0"])
    assert aliases(app) == []
    assert end(run)[1]["error"]["code"] == "not-found"


def test_an_id_that_no_cluster_has_is_an_error(run, cloud):
    code, failed = end(run, name="tran")
    assert (code, failed["error"]["code"]) == (1, "not-found")
    assert failed["error"]["message"] == "There is no cluster tran."


def test_a_person_sees_a_line_a_node_and_what_became_of_the_rest(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    share(app)
    done = run("cluster", "terminate", "train", "--yes")
    assert done.exit_code == 0
    assert "Terminated the cluster train: 2 nodes" in done.stdout
    for rank, node in enumerate(nodes):
        assert f"{node}  running -> shutting-down  in {WEST}  alias aws-train-{rank} removed" in done.stdout
    assert "placement group deleted, security group deleted" in done.stdout


def test_the_table_has_the_nodes_and_the_groups(run, app, cloud):
    start_nodes(app, [0, 1])
    share(app)
    table = run("cluster", "terminate", "train", "--yes", "-o", "table").stdout
    assert "aws-train-1" in table
    assert "Placement group deleted" in table


# --- the question ----------------------------------------------------------------------------------------


def test_the_question_has_one_line_for_the_cluster_and_names_the_volumes():
    volume = factories.volume(volume_id="vol-9", size_gb=9)
    nodes = [factories.instance(instance_id=f"i-{rank}", cluster="train", rank=rank) for rank in range(4)]
    targets = [TerminationTarget(node, None, (), 3600, 0.5, 0.5) for node in nodes]
    targets[0] = replace(targets[0], volumes=(volume,))
    assert questions.cluster_termination("train", WEST, targets).splitlines() == [
        "  cluster train: 4 nodes  g4dn.xlarge spot  in us-west-2  up 1 h 0 min  about $2.00 so far",
        "Data volumes to delete, with all their data:",
        "  vol-9  9 GB  in us-west-2",
        "Terminate the cluster train?",
    ]


def test_the_question_says_where_only_groups_are_left(app, cloud):
    share(app)
    remains = ending.find(app, "train", ())
    assert not remains.is_empty
    lines = questions.cluster_termination("train", WEST, ()).splitlines()
    assert lines == [
        "  What is left of the cluster train in us-west-2: what its nodes shared, which does not bill",
        "Terminate the cluster train?",
    ]


def test_an_ordinary_question_has_one_line_for_the_nodes_of_a_cluster(app, cloud, box):
    alone = box()
    start_nodes(app, [0, 1, 2, 3])
    targets = selection.find_targets(app, [], None)
    asked = questions.terminate(selection.to_confirm(app, targets, keep_ebs=False)).splitlines()
    assert len(asked) == 3
    assert alone in asked[0]
    assert "cluster train: 4 nodes" in asked[1]
    assert asked[2] == "Terminate 5 instances?"


def test_a_script_must_agree_before_anything_is_read(run, app, cloud):
    start_nodes(app, [0])
    cloud.calls.clear()
    assert run("cluster", "terminate", "train", "-o", "json").exit_code == 2
    assert cloud.calls == []


# --- whose it is -----------------------------------------------------------------------------------------


def test_a_cluster_of_somebody_else_is_left(run, app, cloud):
    nodes = start_nodes(app, [0, 1], owner=OTHER, alias=False)
    group = share(app, owner=OTHER)
    code, failed = end(run)
    assert (code, failed["error"]["code"]) == (1, "not-yours")
    assert states(cloud, *nodes) == {"running"}
    assert shared(app) == ([GROUP], [group])


def test_nodes_of_that_id_that_are_not_yours_are_left_and_told(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    theirs = start_nodes(app, [2], owner=OTHER, alias=False)
    code, ended = end(run)
    assert [one["instance_id"] for one in ended["terminated"]] == nodes
    assert [one["instance_id"] for one in ended["left_out"]] == theirs
    assert states(cloud, *theirs) == {"running"}


def test_groups_of_somebody_else_are_left(run, app, cloud):
    start_nodes(app, [0])
    group = share(app, owner=OTHER)
    code, ended = end(run)
    assert code == 0
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (None, None)
    assert shared(app) == ([GROUP], [group])


def test_groups_without_this_tool_s_tags_are_left(run, app, cloud):
    start_nodes(app, [0])
    client = cloud.ec2(WEST)
    client.create_placement_group(GroupName=GROUP, Strategy="cluster")
    group = client.create_security_group(GroupName=GROUP, Description="mine")["GroupId"]
    assert end(run)[0] == 0
    assert ec2.find_placement_group(client, GROUP)
    assert ec2.get_security_groups(client, [group])


def test_without_knowing_who_calls_nothing_is_ended(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    cloud.deny(WEST, "GetCallerIdentity")
    code, failed = end(run)
    assert (code, failed["error"]["code"]) == (1, "owner-unknown")
    assert f"terminate {' '.join(nodes)} --region {WEST}" in failed["error"]["hint"]
    assert states(cloud, *nodes) == {"running"}


# --- regions ---------------------------------------------------------------------------------------------


def test_an_id_in_two_regions_needs_the_region(run, app, cloud):
    here = start_nodes(app, [0])
    there = start_nodes(app, [0], region=EAST, alias=False)
    assert end(run)[0] == 2
    assert end(run, "--region", EAST)[0] == 0
    assert states(cloud, *there, region=EAST) == {"terminated"}
    assert states(cloud, *here) == {"running"}


def test_a_region_that_is_not_read_keeps_no_node_of_another_running(run, app, cloud):
    nodes = start_nodes(app, [0])
    cloud.deny(EAST)
    code, ended = end(run)
    assert code == 0
    assert states(cloud, *nodes) == {"terminated"}
    assert [one["region"] for one in ended["regions_failed"]] == [EAST]
    assert [one["code"] for one in ended["warnings"]] == ["region-failed"]


def test_a_cluster_that_may_be_where_nothing_is_read_is_not_absent(run, app, cloud):
    cloud.deny(EAST)
    assert end(run)[1]["error"]["code"] == "region-failed"


# --- what fails ------------------------------------------------------------------------------------------


def test_a_node_that_cannot_be_ended_keeps_the_groups_and_is_named(run, app, cloud):
    protected, other = start_nodes(app, [0, 1])
    group = share(app)
    client = cloud.ec2(WEST)
    client.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": True})
    code, failed = end(run)
    assert code == 3
    assert [one["instance_id"] for one in failed["terminated"]] == [other]
    assert (failed["placement_group_deleted"], failed["security_group_deleted"]) == (False, False)
    assert ("instance", protected, True) in resources(failed)
    assert shared(app) == ([GROUP], [group])
    client.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": False})
    complete(run, failed)
    assert shared(app) == NOTHING
    assert states(cloud, protected) == {"terminated"}


@pytest.mark.parametrize(
    ("operation", "kind"), [("DeletePlacementGroup", "placement"), ("DeleteSecurityGroup", "security")]
)
def test_a_group_that_is_not_deleted_is_named_with_the_way_on(run, app, cloud, operation, kind):
    start_nodes(app, [0, 1])
    group = share(app)
    cloud.fail(operation, "UnauthorizedOperation")
    code, failed = end(run)
    assert code == 3
    assert failed[f"{kind}_group_deleted"] is False
    names = {"placement": ("placement-group", GROUP, False), "security": ("security-group", group, False)}
    assert resources(failed) == {names[kind]}
    assert failed["error"]["message"].startswith("What the nodes of train shared was not deleted: ")
    cloud.repair()
    complete(run, failed)
    assert shared(app) == NOTHING


@pytest.mark.parametrize("operation", ["DescribePlacementGroups", "DescribeSecurityGroups"])
def test_groups_that_cannot_be_read_keep_no_node_running(run, app, cloud, operation):
    nodes = start_nodes(app, [0, 1])
    share(app)
    cloud.fail(operation, "UnauthorizedOperation")
    code, failed = end(run)
    assert code == 3
    assert states(cloud, *nodes) == {"terminated"}
    assert (failed["placement_group_deleted"], failed["security_group_deleted"]) == (False, False)
    cloud.repair()
    complete(run, failed)
    assert shared(app) == NOTHING


@pytest.mark.parametrize("kind", ["PlacementGroups", "SecurityGroups"])
def test_groups_whose_tags_a_reply_lacks_are_not_passed_over(run, app, cloud, kind):
    nodes = start_nodes(app, [0, 1])
    share(app)

    def without_tags(answer):
        answer[kind] = [{name: value for name, value in group.items() if name != "Tags"} for group in answer[kind]]

    cloud.faults.change_answer(f"Describe{kind}", without_tags)
    code, failed = end(run)
    assert (code, states(cloud, *nodes)) == (3, {"terminated"})
    assert (failed["placement_group_deleted"], failed["security_group_deleted"]) == (False, False)


@pytest.mark.parametrize("operation", ["TerminateInstances", "DeletePlacementGroup", "DeleteSecurityGroup"])
def test_a_call_whose_answer_is_lost_is_looked_up(run, app, cloud, operation):
    nodes = start_nodes(app, [0, 1])
    share(app)
    cloud.faults.lose(operation)
    code, ended = end(run)
    assert code == 0
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (True, True)
    assert states(cloud, *nodes) == {"terminated"}
    assert shared(app) == NOTHING


@pytest.mark.parametrize("operation", ["TerminateInstances", "DeletePlacementGroup", "DeleteSecurityGroup"])
@pytest.mark.parametrize("takes_effect", [True, False])
def test_an_interrupt_says_what_remains_and_how_to_complete_it(run, app, cloud, operation, takes_effect):
    app.lookup_seconds = 0
    nodes = start_nodes(app, [0, 1])
    share(app)
    cloud.faults.interrupt(operation, signal.SIGTERM, takes_effect=takes_effect)
    code, failed = end(run)
    assert code == 143
    assert failed["error"]["code"] == "interrupted"
    remaining = {one for _, one, _ in resources(failed)}
    exist = {node for node in nodes if states(cloud, node) == {"running"}}
    exist |= set(shared(app)[0]) | set(shared(app)[1])
    assert exist <= remaining
    complete(run, failed)
    assert shared(app) == NOTHING
    assert aliases(app) == []
    assert states(cloud, *nodes) == {"terminated"}


def test_a_node_that_was_started_meanwhile_is_named(run, app, cloud):
    nodes = start_nodes(app, [0])
    share(app)
    added: list[str] = []

    def start_another() -> None:
        added.extend(start_nodes(app, [1]))

    remains = ending.find(app, "train", ())
    start_another()
    with pytest.raises(BootstrapError, match=f"The cluster train has other nodes now: {added[0]}"):
        ending.apply(app, remains, keep_ebs=False)
    assert states(cloud, *nodes) == {"terminated"}
    assert states(cloud, *added) == {"running"}
    assert shared(app)[0] == [GROUP]


# --- the ordinary terminate ------------------------------------------------------------------------------


def test_the_last_node_takes_the_groups_with_it(run, app, cloud):
    start_nodes(app, [0, 1])
    group = share(app)
    code, ended = end_boxes(run, "aws-train-0")
    assert code == 0
    assert "clusters" not in ended
    assert shared(app) == ([GROUP], [group])
    code, ended = end_boxes(run, "aws-train-1")
    assert code == 0
    (cluster,) = ended["clusters"]
    assert cluster == {
        "cluster_id": "train",
        "region": WEST,
        "placement_group_deleted": True,
        "security_group_deleted": True,
    }
    assert shared(app) == NOTHING


def test_all_nodes_are_ended_by_the_id_of_their_cluster(run, app, cloud, box):
    alone = box()
    nodes = start_nodes(app, [0, 1])
    unknown = start_nodes(app, [2], alias=False)
    share(app)
    code, ended = end_boxes(run, "train")
    assert code == 0
    assert states(cloud, *nodes, *unknown) == {"terminated"}
    assert states(cloud, alone) == {"running"}
    assert shared(app) == NOTHING


def test_without_names_the_clusters_of_the_region_end(run, app, cloud, box):
    box()
    start_nodes(app, [0, 1])
    theirs = start_nodes(app, [0], cluster_id="theirs", owner=OTHER, alias=False)
    share(app)
    of_other = share(app, cluster_id="theirs", owner=OTHER)
    code, ended = end_boxes(run)
    assert code == 0
    assert len(ended["terminated"]) == 3
    assert [one["cluster_id"] for one in ended["clusters"]] == ["train"]
    assert states(cloud, *theirs) == {"running"}
    assert shared(app) == (["aws-bootstrap-cluster-theirs"], [of_other])


def test_boxes_of_their_own_cost_no_call_about_groups(run, cloud, box):
    box()
    cloud.calls.clear()
    assert end_boxes(run)[0] == 0
    assert not {name for _, name in cloud.calls if "Group" in name}


def test_groups_that_stay_after_an_ordinary_terminate_are_named(run, app, cloud):
    nodes = start_nodes(app, [0, 1])
    group = share(app)
    cloud.fail("DeleteSecurityGroup", "UnauthorizedOperation")
    code, failed = end_boxes(run, *nodes)
    assert code == 3
    assert resources(failed) == {("security-group", group, False)}
    (cluster,) = failed["clusters"]
    assert (cluster["placement_group_deleted"], cluster["security_group_deleted"]) == (True, False)
    cloud.repair()
    complete(run, failed)
    assert shared(app) == NOTHING


def test_a_person_reads_that_the_cluster_has_no_node_any_more(run, app, cloud):
    start_nodes(app, [0])
    share(app)
    done = run("terminate", "aws-train-0", "--yes")
    assert "cluster train has no node any more  placement group deleted, security group deleted" in done.stdout
