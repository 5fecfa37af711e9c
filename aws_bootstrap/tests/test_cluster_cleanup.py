"""`cleanup` and clusters: groups without a node are deleted, nodes get their aliases back."""

from __future__ import annotations

import json
import signal

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.tests.clusters import share, shared, start_nodes
from aws_bootstrap.tests.schema_check import validate
from aws_bootstrap.workflows import cleanup

EAST, WEST = "us-east-1", "us-west-2"
OTHER = "AIDASOMEBODYELSE"
GROUP = "aws-bootstrap-cluster-train"
NOTHING: tuple[list[str], list[str]] = ([], [])


def planned(run, *words):
    """Exit code and document of a dry run."""
    done = run("cleanup", "--dry-run", *words, "-o", "json")
    document = json.loads(done.stdout)
    validate("cleanup-dry-run", document)
    return done.exit_code, document


def clean(run, *words):
    """Exit code and document of a cleanup."""
    done = run("cleanup", "--yes", *words, "-o", "json")
    document = json.loads(done.stdout)
    validate("cleanup", document)
    return done.exit_code, document


def ids(entries) -> list[str]:
    return [one["id"] for one in entries]


def aliases(app) -> list[str]:
    return sorted(host.alias for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config)))


def test_groups_of_a_cluster_without_nodes_are_shown_and_deleted(run, app, cloud):
    group = share(app)
    other = share(app, cluster_id="other", region=EAST)
    code, plan = planned(run)
    assert code == 0
    assert plan["placement_groups"] == [
        {"id": "aws-bootstrap-cluster-other", "cluster_id": "other", "region": EAST} | own(),
        {"id": GROUP, "cluster_id": "train", "region": WEST} | own(),
    ]
    assert ids(plan["security_groups"]) == [other, group]
    assert shared(app) == ([GROUP], [group]), "a dry run changes nothing"
    code, done = clean(run)
    assert code == 0
    assert [(one["id"], one["deleted"]) for one in done["placement_groups"]] == [
        ("aws-bootstrap-cluster-other", True),
        (GROUP, True),
    ]
    assert [(one["id"], one["deleted"]) for one in done["security_groups"]] == [(other, True), (group, True)]
    assert shared(app) == NOTHING == shared(app, EAST)
    assert clean(run)[1]["placement_groups"] == []


def own() -> dict[str, object]:
    return {"owner": "AKIAIOSFODNN7EXAMPLE", "yours": True}


@pytest.mark.parametrize("owner", ["AKIAIOSFODNN7EXAMPLE", OTHER])
def test_groups_of_a_cluster_with_a_node_stay(run, app, cloud, owner):
    start_nodes(app, [0], owner=owner)
    group = share(app)
    assert planned(run)[1]["placement_groups"] == []
    assert clean(run)[1]["security_groups"] == []
    assert shared(app) == ([GROUP], [group])


def test_a_node_of_that_id_in_another_region_keeps_no_group(run, app, cloud):
    start_nodes(app, [0], region=EAST)
    share(app)
    assert ids(planned(run)[1]["placement_groups"]) == [GROUP]


def test_stopped_nodes_keep_their_groups(run, app, cloud):
    nodes = start_nodes(app, [0])
    cloud.ec2(WEST).stop_instances(InstanceIds=nodes)
    share(app)
    assert planned(run)[1]["placement_groups"] == []


def test_groups_of_others_need_everyone(run, app, cloud):
    group = share(app, owner=OTHER)
    assert clean(run)[1]["placement_groups"] == []
    assert shared(app) == ([GROUP], [group])
    code, plan = planned(run, "--everyone")
    assert code == 0
    assert [(one["owner"], one["yours"]) for one in plan["security_groups"]] == [(OTHER, None)]
    assert clean(run, "--everyone")[0] == 0
    assert shared(app) == NOTHING


def test_groups_that_this_tool_did_not_make_stay(run, app, cloud):
    client = cloud.ec2(WEST)
    client.create_placement_group(GroupName=GROUP, Strategy="cluster")
    mine = client.create_security_group(GroupName=GROUP, Description="mine")["GroupId"]
    assert clean(run, "--everyone")[1]["security_groups"] == []
    assert client.describe_security_groups(GroupIds=[mine])["SecurityGroups"]


def test_without_knowing_who_calls_no_group_is_deleted(run, app, cloud):
    group = share(app)
    cloud.deny(WEST, "GetCallerIdentity")
    code, done = clean(run)
    assert (code, done["placement_groups"]) == (0, [])
    assert "owner-unknown" in {one["code"] for one in done["warnings"]}
    assert shared(app) == ([GROUP], [group])


def test_a_region_that_is_not_read_protects_its_groups(run, app, cloud):
    share(app)
    share(app, region=EAST)
    cloud.deny(EAST)
    code, done = clean(run)
    assert code == 3
    assert [one["region"] for one in done["placement_groups"]] == [WEST]


def test_a_narrowed_cleanup_looks_at_no_other_region(run, app, cloud):
    share(app)
    share(app, region=EAST)
    assert [one["region"] for one in clean(run, "--region", EAST)[1]["placement_groups"]] == [EAST]
    assert shared(app)[0] == [GROUP]


@pytest.mark.parametrize("operation", ["DescribePlacementGroups", "DescribeSecurityGroups"])
def test_groups_that_are_refused_keep_no_alias(run, app, cloud, operation):
    """Who uses no clusters may lack the permission."""
    (node,) = start_nodes(app, [0])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[node])
    share(app)
    cloud.fail(operation, "UnauthorizedOperation")
    code, done = clean(run)
    assert (code, done["placement_groups"], done["security_groups"]) == (0, [], [])
    assert [one["alias"] for one in done["cleaned"]] == ["aws-train-0"]
    (warning,) = done["warnings"]
    assert warning["code"] == "groups-unknown"
    assert warning["message"].startswith(f"Could not read what clusters have left in eu-west-1, {EAST}, {WEST}")


@pytest.mark.parametrize("operation", ["DescribePlacementGroups", "DescribeSecurityGroups"])
def test_a_region_whose_groups_do_not_come_counts_as_not_read(run, app, cloud, operation):
    share(app)
    share(app, region=EAST)
    cloud.fail(operation, "InternalError", region=WEST)
    code, done = clean(run)
    assert code == 3
    assert [one["region"] for one in done["regions_failed"]] == [WEST]
    assert [one["region"] for one in done["placement_groups"]] == [EAST]


def test_a_group_that_got_a_node_meanwhile_stays(app, cloud):
    group = share(app)
    options = cleanup.CleanupOptions()
    planned = cleanup.plan(app, options)
    start_nodes(app, [0])
    report = cleanup.apply(app, planned, options)
    reason = "The cluster train has a node again."
    assert [(one.id, one.deleted, one.error) for one in report.placement_groups] == [(GROUP, False, reason)]
    assert [(one.id, one.deleted, one.error) for one in report.security_groups] == [(group, False, reason)]
    assert shared(app) == ([GROUP], [group])


def test_a_region_that_does_not_answer_again_keeps_its_groups(app, cloud):
    share(app)
    options = cleanup.CleanupOptions()
    planned = cleanup.plan(app, options)
    cloud.deny(WEST)
    report = cleanup.apply(app, planned, options)
    assert [one.deleted for one in (*report.placement_groups, *report.security_groups)] == [False, False]


def test_a_group_that_is_not_deleted_is_an_error(run, app, cloud):
    group = share(app)
    cloud.fail("DeleteSecurityGroup", "UnauthorizedOperation")
    code, done = clean(run)
    assert (code, done["error"]["code"]) == (3, "group-not-deleted")
    assert done["error"]["message"].startswith(f"Could not delete {group}: ")
    assert "cleanup --dry-run" in done["error"]["hint"]
    assert [one["deleted"] for one in done["security_groups"]] == [False]
    text = run("cleanup", "--yes")
    assert text.exit_code == 1
    assert "Could not delete 1 group" in text.stdout


@pytest.mark.parametrize("operation", ["DeletePlacementGroup", "DeleteSecurityGroup"])
def test_a_deletion_whose_answer_is_lost_is_looked_up(run, app, cloud, operation):
    share(app)
    cloud.faults.lose(operation)
    code, done = clean(run)
    assert code == 0
    assert all(one["deleted"] for one in (*done["placement_groups"], *done["security_groups"]))
    assert shared(app) == NOTHING


@pytest.mark.parametrize("takes_effect", [True, False])
def test_an_interrupt_names_the_groups_that_remain(run, app, cloud, takes_effect):
    app.lookup_seconds = 0
    group = share(app)
    cloud.faults.interrupt("DeletePlacementGroup", signal.SIGINT, takes_effect=takes_effect)
    code, done = clean(run)
    assert code == 130
    remaining = {(one["type"], one["id"], one["billing"]) for one in done["error"]["resources"]}
    assert ("security-group", group, False) in remaining
    assert (("placement-group", GROUP, False) in remaining) is not takes_effect
    assert "Complete the cleanup: aws-bootstrap cleanup" in done["error"]["hint"]
    assert clean(run)[0] == 0
    assert shared(app) == NOTHING


def test_a_person_is_asked_about_the_groups(run, app, cloud):
    group = share(app)
    shown = run("cleanup", "--dry-run").stdout
    assert "Would delete 2 groups of clusters that have no node" in shown
    assert group in shown
    table = run("cleanup", "--dry-run", "-o", "table").stdout
    assert "delete group" in table
    assert "Deleted 2 groups of clusters that have no node" in run("cleanup", "--yes").stdout


def test_nodes_without_an_alias_get_that_of_their_rank(run, app, cloud, key):
    start_nodes(app, [2, 0], alias=False)
    start_nodes(app, [1], alias=True)
    code, done = clean(run, "--sync", "--key-path", str(key.public_path))
    assert code == 0
    assert sorted(one["alias"] for one in done["added"]) == ["aws-train-0", "aws-train-2"]
    assert aliases(app) == ["aws-train-0", "aws-train-1", "aws-train-2"]
    hosts = sshconfig.hosts(sshconfig.read(app.paths.ssh_config))
    assert {(host.cluster, host.rank) for host in hosts} == {("train", 0), ("train", 1), ("train", 2)}


def test_an_alias_that_another_host_has_is_not_given_to_a_node(run, app, cloud, key):
    app.paths.ssh_config.write_text("Host aws-train-0\n    User me\n")
    start_nodes(app, [0], alias=False)
    assert [one["alias"] for one in clean(run, "--sync", "--key-path", str(key.public_path))[1]["added"]] == [
        "aws-gpu1"
    ]
