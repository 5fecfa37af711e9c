"""`cluster launch`: all nodes in one call, each with its rank, and what exists is named whatever breaks.

AWS answers in this process, and the boxes are pretended; where EC2's client tokens matter, the sandbox answers.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import click
import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.cli import main
from aws_bootstrap.commands.cluster.missing import launch_missing
from aws_bootstrap.errors import SshError
from aws_bootstrap.tests.cloud import REGIONS
from aws_bootstrap.tests.programs import alive
from aws_bootstrap.tests.stubs import lose
from aws_bootstrap.workflows.cluster import members

WEST = "us-west-2"
SHARED = "aws-bootstrap-cluster-train"


@pytest.fixture
def cluster(run, app, cloud, boxes, tmp_path):
    """Exit code and document of `cluster launch` of the cluster train."""
    key = tmp_path / "id_test"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    given = ("--key-path", f"{key}.pub", "--ssh-cidr", "203.0.113.7", "--ami-filter", "ubuntu-noble-24.04-*")

    def launched(*words, setup="--no-setup", name="train"):
        done = run("cluster", "launch", "--cluster-id", name, "--yes", setup, "-o", "json", *given, *words)
        return done.exit_code, json.loads(done.stdout)

    return launched


def instances(cloud, region: str = WEST) -> list[dict]:
    """The living instances of the cluster, by rank."""
    filters = [
        {"Name": "tag:aws-bootstrap-cluster", "Values": ["train"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    found = cloud.ec2(region).describe_instances(Filters=filters)["Reservations"]
    return sorted((i for r in found for i in r["Instances"]), key=lambda i: tags(i)["aws-bootstrap-cluster-rank"])


def tags(instance: dict) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}


def calls(cloud) -> Counter[str]:
    """How often each operation was called since the last time."""
    found = Counter(operation for _, operation in cloud.calls)
    cloud.calls.clear()
    return found


def test_the_nodes_come_from_one_call_and_share_zone_and_groups(cluster, cloud, app):
    code, report = cluster("--nodes", "3")
    assert code == 0
    assert calls(cloud)["RunInstances"] == 1
    assert [node["rank"] for node in report["nodes"]] == [0, 1, 2]
    assert (report["cluster_id"], report["nodes_added"], report["node_count"]) == ("train", 3, 3)
    assert report["placement_group"] == SHARED
    found = instances(cloud)
    assert [node["instance_id"] for node in report["nodes"]] == [i["InstanceId"] for i in found]
    assert {i["Placement"]["AvailabilityZone"] for i in found} == {report["availability_zone"]}
    assert [{g["GroupName"] for g in i["SecurityGroups"]} for i in found] == [{"aws-bootstrap-ssh", SHARED}] * 3
    assert [tags(i)["Name"] for i in found] == ["aws-train-0", "aws-train-1", "aws-train-2"]
    hosts = sshconfig.hosts(sshconfig.read(app.paths.ssh_config))
    assert {host.alias: host.hostname for host in hosts} == {n["alias"]: n["public_ip"] for n in report["nodes"]}
    assert {host.cluster for host in hosts} == {"train"}


def test_the_cluster_s_group_lets_in_itself_alone(cluster, cloud):
    cluster("--nodes", "2")
    groups = cloud.ec2(WEST).describe_security_groups(Filters=[{"Name": "group-name", "Values": [SHARED]}])
    (group,) = groups["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert rule["IpProtocol"] == "-1"
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [group["GroupId"]]
    assert not rule["IpRanges"]


def test_the_calls_grow_by_node_only_where_ec2_demands_it(cluster, cloud):
    """A tag of its own is all that one node needs: RunInstances gives all of them the same tags."""
    cluster("--nodes", "1", "--no-placement-group")
    one = calls(cloud)
    cluster("--nodes", "8", "--no-placement-group", name="other")
    eight = calls(cloud)
    grown = {operation: eight[operation] - one[operation] for operation in eight if eight[operation] > one[operation]}
    assert grown == {"CreateTags": 7}


def test_with_data_volumes_they_grow_by_their_creation_and_attachment_alone(cluster, cloud, boxes):
    boxes.refusal = None
    storage = ("--ebs-storage", "5", "--no-placement-group")
    cluster("--nodes", "2", *storage)
    two = calls(cloud)
    code, report = cluster("--nodes", "8", *storage, name="other")
    eight = calls(cloud)
    assert code == 0
    grown = {operation: eight[operation] - two[operation] for operation in eight if eight[operation] > two[operation]}
    assert grown == {"CreateTags": 6, "CreateVolume": 6, "AttachVolume": 6}
    assert [node["ebs_volume"]["mounted"] for node in report["nodes"]] == [True] * 8


def test_the_data_volumes_of_the_nodes_that_exist_are_found_in_one_call(cluster, cloud, boxes):
    boxes.refusal = None
    found = []
    for count in ("2", "6"):
        cluster("--nodes", count, "--ebs-storage", "5", name=f"c{count}")
        calls(cloud)
        _, report = cluster("--nodes", count, name=f"c{count}")
        assert all(node["ebs_volume"]["mounted"] for node in report["nodes"])
        found.append(calls(cloud))
    assert found[0] == found[1]
    assert found[0]["CreateVolume"] == found[0]["AttachVolume"] == 0


def test_each_data_volume_is_formatted_once(cluster, boxes):
    boxes.refusal = None
    cluster("--nodes", "3", "--ebs-storage", "5")
    assert sorted((alias, may_format) for alias, _, may_format in boxes.mounts) == [
        ("aws-train-0", True),
        ("aws-train-1", True),
        ("aws-train-2", True),
    ]
    boxes.mounts.clear()
    cluster("--nodes", "3")
    assert [may_format for _, _, may_format in boxes.mounts] == [False] * 3


@pytest.mark.parametrize("after", [False, True])
def test_no_data_volume_is_formatted_where_the_removal_of_the_tags_gets_no_answer(cluster, cloud, boxes, after):
    boxes.refusal = None
    lose(cloud.ec2(WEST), "DeleteTags", after=after)
    _, report = cluster("--nodes", "3", "--ebs-storage", "5")
    assert [may_format for _, _, may_format in boxes.mounts] == [False] * 3
    assert [w["code"] for w in report["warnings"]].count("volume-not-formatted") == 3


def test_data_volumes_are_attached_where_nobody_may_look_at_them(cluster, cloud, boxes):
    cloud.deny(WEST, "DescribeVolumes")
    cluster("--nodes", "2", "--ebs-storage", "5")
    assert calls(cloud)["AttachVolume"] == 2


def test_a_larger_number_adds_what_is_missing_in_the_same_zone_with_the_same_options(cluster, cloud):
    _, first = cluster("--nodes", "2", "--on-demand", "--volume-size", "123")
    code, grown = cluster("--nodes", "4")
    assert (code, grown["nodes_added"], grown["node_count"]) == (0, 2, 4)
    assert [node["existing"] for node in grown["nodes"]] == [True, True, False, False]
    assert grown["availability_zone"] == first["availability_zone"]
    assert grown["pricing"] == "on-demand"
    assert [tags(i)["aws-bootstrap-cluster-rank"] for i in instances(cloud)] == ["0", "1", "2", "3"]


def test_the_same_number_starts_nothing_and_a_missing_rank_is_filled(cluster, cloud, app):
    _, first = cluster("--nodes", "3")
    calls(cloud)
    code, again = cluster("--nodes", "3")
    assert (code, again["nodes_added"]) == (0, 0)
    assert calls(cloud)["RunInstances"] == 0
    lost = first["nodes"][1]["instance_id"]
    cloud.ec2(WEST).terminate_instances(InstanceIds=[lost])
    code, filled = cluster("--nodes", "3")
    assert (code, filled["nodes_added"]) == (0, 1)
    assert filled["nodes"][1]["instance_id"] != lost
    assert filled["nodes"][1]["alias"] == "aws-train-1"
    hosts = sshconfig.hosts(sshconfig.read(app.paths.ssh_config))
    assert {host.instance_id for host in hosts} == {node["instance_id"] for node in filled["nodes"]}


def test_a_smaller_number_is_refused(cluster):
    cluster("--nodes", "2")
    code, refused = cluster("--nodes", "1")
    assert (code, refused["error"]["code"]) == (2, "usage")
    assert "has 2 nodes" in refused["error"]["message"]


def test_another_region_is_refused_before_anything_is_created(cluster, cloud):
    cluster("--nodes", "1")
    calls(cloud)
    code, refused = cluster("--nodes", "2", "--region", "us-east-1")
    assert (code, refused["error"]["code"]) == (2, "usage")
    assert not instances(cloud, "us-east-1")
    assert "RunInstances" not in calls(cloud)


def test_the_cluster_of_another_owner_is_not_touched(cluster, cloud):
    cluster("--nodes", "1")
    of_another = [{"Key": "aws-bootstrap-owner", "Value": "AIDAANOTHER"}]
    cloud.ec2(WEST).create_tags(Resources=[instances(cloud)[0]["InstanceId"]], Tags=of_another)
    code, refused = cluster("--nodes", "2")
    assert (code, refused["error"]["code"]) == (1, "not-yours")
    assert len(instances(cloud)) == 1


def test_a_dry_run_shows_the_price_of_all_nodes_and_changes_nothing(cluster, cloud):
    code, plan = cluster("--nodes", "4", "--dry-run")
    assert code == 0
    assert (plan["node_count"], plan["nodes_added"], plan["ranks"]) == (4, 4, [0, 1, 2, 3])
    assert plan["on_demand_price_per_hour"] == pytest.approx(4 * 0.526)
    assert not any(name.startswith(("Create", "Run", "Import", "Authorize")) for name in calls(cloud))


def test_nodes_that_are_added_end_with_the_others(cluster, cloud):
    cluster("--nodes", "1", "--ttl", "2h")
    (first,) = instances(cloud)
    deadline = datetime.fromisoformat(tags(first)["aws-bootstrap-deadline"])
    soon = (deadline - timedelta(hours=1)).isoformat()
    cloud.ec2(WEST).create_tags(
        Resources=[first["InstanceId"]], Tags=[{"Key": "aws-bootstrap-deadline", "Value": soon}]
    )
    cluster("--nodes", "2")
    _, second = instances(cloud)
    ends = datetime.fromisoformat(tags(second)["aws-bootstrap-deadline"])
    assert abs(ends - (deadline - timedelta(hours=1))) < timedelta(seconds=10)


def test_the_money_is_for_all_nodes(cluster, cloud):
    now = datetime.now(UTC)
    hours = {}
    for count in ("1", "4"):
        cluster("--nodes", count, "--max-cost", "10", "--on-demand", name=f"c{count}")
        found = cloud.ec2(WEST).describe_instances(
            Filters=[{"Name": "tag:aws-bootstrap-cluster", "Values": [f"c{count}"]}]
        )
        deadline = tags(found["Reservations"][0]["Instances"][0])["aws-bootstrap-deadline"]
        hours[count] = (datetime.fromisoformat(deadline) - now).total_seconds() / 3600
    assert hours["4"] == pytest.approx(hours["1"] / 4, rel=0.01)


def test_a_lost_node_is_launched_again_with_the_options_of_the_others(cluster, cloud, app):
    cluster("--nodes", "2", "--volume-size", "123")
    before = members.get(app, "train", [WEST])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[before.nodes[1].instance_id])
    cloud.fail("RunInstances", "InsufficientInstanceCapacity", **{"InstanceMarketOptions.MarketType": "spot"})
    root = click.Context(main, info_name="aws-bootstrap", obj=app)
    report = launch_missing(click.Context(main, info_name="run", parent=root), before, 2)
    assert [(node.rank, node.existing) for node in report.nodes] == [(0, True), (1, False)]
    assert {node.monthly_cost_usd for node in report.nodes} == {13.49}, "both have a root volume of 123 GB"
    replacement = instances(cloud)[1]
    assert "InstanceLifecycle" not in replacement
    said = [warning.message for warning in app.console.warnings]
    assert any("launched on-demand, at its price" in message for message in said), "nobody was asked"


def test_a_quota_against_which_the_lost_node_still_counts_is_waited_for(cluster, cloud, app):
    cluster("--nodes", "2")
    before = members.get(app, "train", [WEST])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[before.nodes[1].instance_id])
    cloud.fail("RunInstances", "MaxSpotInstanceCountExceeded", times=2)
    root = click.Context(main, info_name="aws-bootstrap", obj=app)
    report = launch_missing(click.Context(main, info_name="run", parent=root), before, 2)
    assert [(node.rank, node.existing) for node in report.nodes] == [(0, True), (1, False)]
    assert instances(cloud)[1]["InstanceLifecycle"] == "spot"
    said = [warning.message for warning in app.console.warnings]
    assert any("the box that has just ended still counts" in message for message in said)


# --- what breaks -----------------------------------------------------------------------------------------


def named(failed: dict) -> set[str]:
    """The ids of the instances that an error names as billing."""
    return {r["id"] for r in failed["error"]["resources"] if r["type"] == "instance" and r["billing"]}


def test_an_answer_that_never_comes_starts_the_nodes_once(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True}, times=1)
    code, report = program.json("cluster", "launch", "--cluster-id", "train", "--nodes", "3", "--no-setup")
    assert (code, report["node_count"]) == (0, 3)
    assert [node["rank"] for node in report["nodes"]] == [0, 1, 2]
    assert len(alive(program)) == 3
    placed = [call["parameters"]["Placement.GroupName"] for call in program.sandbox.log("RunInstances")]
    assert placed == [SHARED] * 2


def test_nodes_whose_answer_never_comes_at_all_are_named(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True})
    code, report = program.json("cluster", "launch", "--cluster-id", "train", "--nodes", "2", "--no-setup")
    ids = {node["instance_id"] for node in report["nodes"]}
    assert (code, len(ids)) == (0, 2)
    assert ids == set(alive(program))


def test_fewer_nodes_are_accepted_where_that_is_said(program):
    """The vCPUs of the sandbox's quota are enough for some of the nodes."""
    program.sandbox.fault(action="RunInstances", do={"error": "InsufficientInstanceCapacity"}, match={"MinCount": "3"})
    words = ("cluster", "launch", "--cluster-id", "train", "--nodes", "3", "--no-setup")
    code, refused = program.json(*words)
    assert (code, refused["error"]["code"]) == (1, "no-capacity")
    code, report = program.json(*words, "--min-nodes", "1")
    assert code == 0
    assert report["node_count"] >= 1


@pytest.mark.parametrize("operation", ["CreatePlacementGroup", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"])
def test_a_group_whose_answer_is_lost_is_found(cluster, cloud, operation):
    cloud.faults.lose(operation, times=1)
    code, report = cluster("--nodes", "2")
    assert (code, report["node_count"]) == (0, 2)


def test_every_node_is_named_where_the_tags_of_the_ranks_are_refused(cluster, cloud):
    cloud.deny(WEST, "CreateTags")
    code, report = cluster("--nodes", "2")
    assert code == 0
    assert [node["rank"] for node in report["nodes"]] == [0, 1]
    assert [w["code"] for w in report["warnings"]] == ["access-denied", "access-denied"]


def test_every_node_is_named_where_the_boxes_do_not_answer(cluster, cloud, boxes):
    def refuse() -> None:
        raise SshError("No route to host.", code="ssh-timeout")

    boxes.on_login = refuse
    code, failed = cluster("--nodes", "3")
    assert code == 3
    assert named(failed) == {i["InstanceId"] for i in instances(cloud)}
    assert "cluster launch --cluster-id train --nodes 3" in failed["error"]["hint"]
    assert "cluster terminate train" in failed["error"]["hint"]


def test_every_node_is_named_after_ctrl_c(cluster, cloud, boxes):
    only_once = threading.Lock()

    def interrupt() -> None:
        if only_once.acquire(blocking=False):
            signal.raise_signal(signal.SIGINT)

    boxes.on_login = interrupt
    code, failed = cluster("--nodes", "2")
    assert code == 130
    assert named(failed) == {i["InstanceId"] for i in instances(cloud)}


def test_no_capacity_leaves_nothing_that_bills(cluster, cloud):
    cloud.fail("RunInstances", "InsufficientInstanceCapacity")
    code, failed = cluster("--nodes", "4")
    assert (code, failed["error"]["code"]) == (1, "no-capacity")
    assert not named(failed)
    assert "--min-nodes" in failed["error"]["hint"]
    assert {r["type"] for r in failed["error"]["resources"]} == {"key-pair", "security-group", "placement-group"}


def test_a_failed_setup_of_one_node_is_named_with_its_way_on(cluster, boxes):
    boxes.setup.exit_code = 1
    boxes.setup.lines = ("@aws-bootstrap-report", json.dumps({"failed_step": "50-pytorch", "steps": []}))
    code, failed = cluster("--nodes", "2", setup="--ssh-timeout=5s")
    assert (code, failed["error"]["code"]) == (3, "setup-failed")
    assert "setup aws-train-0" in failed["error"]["hint"]
    assert "aws-train-1" in failed["error"]["message"]


def test_an_id_that_is_taken_by_a_host_of_the_user_s_own_is_refused(cluster, app, cloud):
    app.paths.ssh_config.parent.mkdir(parents=True, exist_ok=True)
    app.paths.ssh_config.write_text("Host aws-train-1\n    HostName 192.0.2.9\n")
    code, refused = cluster("--nodes", "2")
    assert (code, refused["error"]["code"]) == (2, "usage")
    assert "RunInstances" not in calls(cloud)


def test_groups_of_that_name_that_are_not_ours_are_left_alone(cluster, cloud):
    cloud.ec2(WEST).create_placement_group(GroupName=SHARED, Strategy="cluster")
    code, refused = cluster("--nodes", "2")
    assert (code, refused["error"]["code"]) == (2, "usage")
    assert "RunInstances" not in calls(cloud)


def test_the_cluster_is_looked_for_in_every_region_once(cluster, cloud):
    cluster("--nodes", "1")
    calls(cloud)
    cluster("--nodes", "1")
    assert calls(cloud)["DescribeInstances"] <= len(REGIONS) + 2
