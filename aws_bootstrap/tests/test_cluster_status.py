"""`cluster status`, and the clusters in `status`: which nodes there are, what is missing, and what all of it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import click
import pytest

from aws_bootstrap import ec2, output
from aws_bootstrap.output import as_table
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, make_volume
from aws_bootstrap.tests.clusters import CLUSTER, CLUSTERS, NODE, start_nodes
from aws_bootstrap.tests.schema_check import validate

EAST, WEST = "us-east-1", "us-west-2"
OTHER = "AIDASOMEBODYELSE"


def nodes_of(run, *words):
    """Exit code and document of the status of one cluster."""
    done = run("cluster", "status", "--cluster-id", "train", *words, "-o", "json")
    document = json.loads(done.stdout)
    if "nodes" in document:
        validate("cluster-status", document)
    return done.exit_code, document


def clusters(run, *words):
    """Exit code and document of the list of clusters."""
    done = run("cluster", "status", *words, "-o", "json")
    document = json.loads(done.stdout)
    validate("cluster-status-all", document)
    return done.exit_code, document


def as_text(result) -> str:
    """What a person reads, without colours."""
    return click.unstyle(output.as_text(result))


def commands(document) -> list[str]:
    return [" ".join(one["argv"]) for one in document["next"]]


# --- one cluster -----------------------------------------------------------------------------------------


def test_each_node_is_shown_with_what_is_known_of_it(run, app, cloud, box):
    box()
    ids = start_nodes(app, [0, 1])
    make_volume(cloud.ec2(WEST), ids[1], size=9)
    code, shown = nodes_of(run)
    assert code == 0
    assert (shown["cluster_id"], shown["region"], shown["missing_ranks"]) == ("train", WEST, [])
    for rank, node in enumerate(shown["nodes"]):
        (known,) = ec2.get_instances(cloud.ec2(WEST), [ids[rank]])
        assert (node["rank"], node["instance_id"], node["ssh_alias"]) == (rank, ids[rank], f"aws-train-{rank}")
        assert (node["state"], node["instance_type"], node["lifecycle"]) == ("running", "g4dn.xlarge", "on-demand")
        assert (node["az"], node["region"]) == (known.availability_zone, WEST)
        assert (node["public_ip"], node["private_ip"]) == (known.public_ip, known.private_ip)
        assert node["private_ip"]
        assert (node["owner"], node["yours"], node["price_per_hour"]) == (CALLER, True, 0.526)
    assert [one["size_gb"] for one in shown["nodes"][1]["ebs_volumes"]] == [9]
    assert shown["price_per_hour"] == 1.052
    assert shown["estimated_cost"] == pytest.approx(sum(one["estimated_cost"] for one in shown["nodes"]))
    assert shown["monthly_cost_usd"] == pytest.approx(sum(one["monthly_cost_usd"] for one in shown["nodes"]))
    assert commands(shown)[-1] == "aws-bootstrap cluster terminate train"


def test_nodes_are_in_the_order_of_their_ranks(run, app, cloud):
    start_nodes(app, [1])
    start_nodes(app, [2, 0])
    assert [one["rank"] for one in nodes_of(run)[1]["nodes"]] == [0, 1, 2]


def test_the_ranks_that_a_launch_had_are_missing_where_their_nodes_have_ended(run, app, cloud):
    ids = start_nodes(app, [0, 1, 2, 3])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ids[1], ids[3]])
    code, shown = nodes_of(run)
    assert code == 0
    assert [one["rank"] for one in shown["nodes"]] == [0, 2]
    assert shown["missing_ranks"] == [1, 3]
    assert [(one["instance_id"], one["rank"]) for one in shown["ended"]] == [(ids[1], 1), (ids[3], 3)]
    assert "aws-bootstrap cluster launch --cluster-id train --nodes 4" in commands(shown)
    cloud.faults.change_answer("DescribeInstances", forget_ended)
    assert nodes_of(run)[1]["missing_ranks"] == [1, 3], "EC2 has forgotten the nodes, but not what was launched"


def test_the_nodes_of_an_earlier_cluster_with_the_id_are_not_missing(run, app, cloud):
    ids = start_nodes(app, [0, 1, 2])
    cloud.ec2(WEST).terminate_instances(InstanceIds=ids)
    cloud.faults.change_answer("DescribeInstances", end_long_ago)
    start_nodes(app, [0])
    assert nodes_of(run)[1]["missing_ranks"] == []


def end_long_ago(reply) -> None:
    for reservation in reply["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "terminated":
                instance["StateTransitionReason"] = "User initiated (2026-01-15 10:30:00 GMT)"


def forget_ended(reply) -> None:
    for reservation in reply["Reservations"]:
        reservation["Instances"] = [one for one in reservation["Instances"] if one["State"]["Name"] != "terminated"]


def test_a_rank_that_was_replaced_is_not_missing(run, app, cloud):
    ids = start_nodes(app, [0, 1])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ids[1]])
    start_nodes(app, [1])
    shown = nodes_of(run)[1]
    assert shown["missing_ranks"] == []
    assert len(shown["nodes"]) == 2


def test_a_cluster_that_has_ended_is_shown_for_as_long_as_ec2_knows_it(run, app, cloud):
    ids = start_nodes(app, [0, 1])
    cloud.ec2(WEST).terminate_instances(InstanceIds=ids)
    code, shown = nodes_of(run)
    assert code == 0
    assert (shown["nodes"], shown["region"], shown["missing_ranks"]) == ([], None, [0, 1])
    assert shown["yours"] is True
    text = run("cluster", "status", "train").stdout
    assert "Nodes that have ended" in text
    assert "cluster train  0 nodes" in text


def test_an_id_that_no_cluster_has_is_an_error(run, cloud):
    code, failed = nodes_of(run)
    assert (code, failed["error"]["code"]) == (1, "not-found")
    cloud.deny(EAST)
    assert nodes_of(run)[1]["error"]["code"] == "region-failed"


def test_a_region_that_is_not_read_may_hide_nodes(run, app, cloud):
    start_nodes(app, [0])
    cloud.deny(EAST)
    code, shown = nodes_of(run)
    assert code == 3
    assert [one["region"] for one in shown["regions_failed"]] == [EAST]
    assert len(shown["nodes"]) == 1
    assert nodes_of(run, "--region", WEST)[0] == 0


def test_a_cluster_of_another_owner_is_shown_and_marked(run, app, cloud):
    start_nodes(app, [0], owner=OTHER, alias=False)
    code, shown = nodes_of(run)
    assert (code, shown["yours"], shown["nodes"][0]["owner"]) == (0, False, OTHER)
    assert shown["next"] == []
    assert f"owner: {OTHER}" in run("cluster", "status", "train").stdout


def test_nodes_in_two_regions_have_no_common_one(run, app, cloud):
    start_nodes(app, [0])
    start_nodes(app, [1], region=EAST)
    shown = nodes_of(run)[1]
    assert shown["region"] is None
    assert [one["region"] for one in shown["nodes"]] == [WEST, EAST]


def test_who_calls_may_be_unknown(run, app, cloud):
    start_nodes(app, [0])
    cloud.deny(WEST, "GetCallerIdentity")
    shown = nodes_of(run)[1]
    assert (shown["yours"], [one["code"] for one in shown["warnings"]]) == (None, ["owner-unknown"])


def test_a_price_that_is_not_known_is_null_with_a_warning(run, app, cloud):
    start_nodes(app, [0, 1])
    cloud.list_price = None
    code, shown = nodes_of(run)
    assert (code, shown["price_per_hour"], shown["estimated_cost"]) == (0, None, None)
    assert "price-unknown" in {one["code"] for one in shown["warnings"]}
    assert "more than $0 an hour; 2 of 2 prices are unknown" in run("cluster", "status", "train").stdout


def test_nodes_without_an_alias_say_how_to_get_one(run, app, cloud):
    (node,) = start_nodes(app, [0], alias=False)
    shown = nodes_of(run)[1]
    assert shown["nodes"][0]["ssh_alias"] is None
    assert commands(shown)[0] == "aws-bootstrap cleanup --sync"
    assert node in run("cluster", "status", "train").stdout


# --- as text ---------------------------------------------------------------------------------------------


def test_the_text_has_a_line_a_node_and_what_all_of_it_costs():
    second = replace(NODE, rank=1, instance_id="i-2", ssh_alias=None, private_ip="10.0.0.15", state="stopped")
    lines = as_text(replace(CLUSTER, nodes=(NODE, second), missing_ranks=(2, 4))).splitlines()
    assert lines[:8] == [
        "cluster train  2 nodes  g4dn.xlarge spot  in us-west-2a",
        "  0  aws-train-0  running  10.0.0.4   54.1.2.3  up 2 h 0 min",
        "  1  i-2          stopped  10.0.0.15  54.1.2.3  -",
        "  Missing           ranks 2, 4",
        "  Instances         about $0.50 an hour; so far about $0.50",
        "  Disks, addresses  about $23.30 a month",
        "",
        "  SSH          {ssh} aws-train-0",
    ]
    assert all(len(line.replace("{aws-bootstrap}", "aws-bootstrap")) <= 80 for line in lines)


def test_the_text_says_when_the_first_node_ends():
    late = replace(NODE, deadline=factories.LAUNCHED + timedelta(hours=9), seconds_left=7200.0)
    early = replace(NODE, deadline=factories.LAUNCHED + timedelta(hours=8), seconds_left=3600.0)
    text = as_text(replace(CLUSTER, nodes=(late, early), missing_ranks=()))
    assert "Ends              at 2026-01-01 08:00 UTC, in 1 h 0 min" in text
    assert "Missing" not in text


def test_types_and_zones_are_named_where_they_differ():
    other = replace(NODE, rank=1, instance_type="g5.xlarge", az="us-west-2b")
    lines = as_text(replace(CLUSTER, nodes=(NODE, other))).splitlines()
    assert lines[0].endswith("g4dn.xlarge spot  g5.xlarge spot  in us-west-2a  in us-west-2b")
    assert lines[1].endswith("g4dn.xlarge  us-west-2a")
    assert lines[2].endswith("g5.xlarge    us-west-2b")


def test_the_table_has_the_nodes_and_the_sums():
    table = as_table(CLUSTER)
    for words in ("aws-train-0", "10.0.0.4", "missing ranks", "0.25", "11.65"):
        assert words in table


# --- all clusters ----------------------------------------------------------------------------------------


def test_the_clusters_of_all_regions_are_listed(run, app, cloud, box):
    box()
    start_nodes(app, [0, 1, 2])
    start_nodes(app, [0], cluster_id="big", region=EAST)
    start_nodes(app, [0], cluster_id="theirs", owner=OTHER, alias=False)
    code, shown = clusters(run)
    assert code == 0
    rows = [(one["cluster_id"], one["region"], one["node_count"], one["yours"]) for one in shown["clusters"]]
    assert rows == [("big", EAST, 1, True), ("theirs", WEST, 1, False), ("train", WEST, 3, True)]
    assert [one["price_per_hour"] for one in shown["clusters"]] == [0.526, 0.526, 1.578]
    assert all(one["monthly_cost_usd"] is not None for one in shown["clusters"])
    assert commands(shown) == ["aws-bootstrap cluster status --cluster-id big"]


def test_a_region_that_is_not_read_may_hide_a_cluster(run, app, cloud):
    start_nodes(app, [0])
    cloud.deny(EAST)
    code, shown = clusters(run)
    assert (code, len(shown["clusters"])) == (3, 1)
    assert [one["region"] for one in shown["regions_failed"]] == [EAST]


def test_without_a_cluster_a_launch_is_offered(run, cloud):
    code, shown = clusters(run)
    assert (code, shown["clusters"]) == (0, [])
    assert commands(shown) == ["aws-bootstrap cluster launch --cluster-id train --nodes 2"]
    assert "No clusters in 3 regions." in run("cluster", "status").stdout


def test_the_list_has_a_line_a_cluster():
    text = as_text(CLUSTERS)
    assert "  train  1 node  in us-west-2  about $0.25/h  and about $11.65/month" in text
    theirs = replace(CLUSTERS.clusters[0], region=None, owner=OTHER, yours=False)
    assert f"in several regions  about $0.25/h  and about $11.65/month  owner: {OTHER}" in as_text(
        replace(CLUSTERS, clusters=(theirs,))
    )


# --- `status` --------------------------------------------------------------------------------------------


def test_status_marks_the_nodes_and_keeps_them_together(run, app, cloud, box):
    start_nodes(app, [1])
    alone = box()
    start_nodes(app, [0])
    shown = json.loads(run("status", "-o", "json").stdout)
    validate("status", shown)
    of_nodes = [(one.get("cluster"), one.get("rank")) for one in shown["instances"]]
    assert of_nodes == [("train", 0), ("train", 1), (None, None)]
    assert "cluster" not in shown["instances"][2]
    assert shown["instances"][2]["instance_id"] == alone
    assert "aws-bootstrap cluster status --cluster-id train" in commands(shown)
    lines = run("status").stdout.splitlines()
    at = lines.index("cluster train: 2 nodes, about $1.05 an hour")
    assert lines[at + 1].startswith("aws-train-0")
    assert lines[at + 2].startswith("aws-train-1")
    assert lines[at + 3].startswith("aws-gpu1")
    assert "train, rank 1" in run("status", "aws-train-1").stdout
    assert "Rank" in run("status", "-o", "table").stdout


def test_status_offers_no_box_of_its_own_in_place_of_a_node(run, app, cloud):
    (node,) = start_nodes(app, [0])
    cloud.ec2(WEST).terminate_instances(InstanceIds=[node])
    cloud.faults.change_answer("DescribeInstances", interrupted)
    shown = json.loads(run("status", "-o", "json").stdout)
    validate("status", shown)
    (ended,) = shown["ended"]
    assert (ended["cluster"], ended["rank"], ended["reason"]) == ("train", 0, "spot-interruption")
    assert not [line for line in commands(shown) if "relaunch" in line]


def interrupted(reply) -> None:
    for reservation in reply["Reservations"]:
        for instance in reservation["Instances"]:
            instance["StateReason"] = {"Code": "Server.SpotInstanceTermination", "Message": "x"}
            instance["Tags"].append({"Key": "aws-bootstrap-settings", "Value": ""})


def test_the_table_of_status_has_no_column_for_clusters_where_there_is_none(run, cloud, box):
    box()
    assert "Rank" not in run("status", "-o", "table").stdout
