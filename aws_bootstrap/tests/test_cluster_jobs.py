"""Jobs of a cluster without a box: which nodes are ready, what code is sent, what each agent is given, how it ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.errors import BootstrapError, SshError, UsageError
from aws_bootstrap.outcomes import error_for
from aws_bootstrap.tests import factories
from aws_bootstrap.workflows.box import Box
from aws_bootstrap.workflows.cluster import code, job, nodes, outcome
from aws_bootstrap.workflows.cluster.following import End, lost_ranks
from aws_bootstrap.workflows.cluster.members import Cluster
from aws_bootstrap.workflows.cluster.nodes import Node


def box(rank: int, **changes: Any) -> Box:
    """A node that runs, with an alias."""
    settings = {"instance_id": f"i-{rank}", "cluster": "train", "rank": rank, "private_ip": f"10.0.0.{rank + 10}"}
    host = factories.host(instance_id=f"i-{rank}", alias=f"aws-train-{rank}")
    return Box(factories.instance(**settings | changes), host)


def cluster(*boxes: Box) -> Cluster:
    return Cluster("train", boxes)


def node(rank: int) -> Node:
    return Node(rank, factories.host(instance_id=f"i-{rank}", alias=f"aws-train-{rank}"), f"10.0.0.{rank + 10}")


NODES = (node(0), node(1), node(2))
JOB = job.Job("job-20260101-000000", "train", NODES)


# --- nodes -----------------------------------------------------------------------------------------------


def test_nodes_are_in_the_order_of_their_ranks():
    ready = nodes.all_ready(cluster(box(0), box(1)))
    assert [(one.rank, one.alias, one.address) for one in ready] == [
        (0, "aws-train-0", "10.0.0.10"),
        (1, "aws-train-1", "10.0.0.11"),
    ]


@pytest.mark.parametrize(
    ("boxes", "code", "said"),
    [
        ((box(0), box(2), box(4)), "cluster-incomplete", "lacks nodes 1 and 3"),
        ((box(1),), "cluster-incomplete", "lacks node 0"),
        ((box(0), box(1), box(1, instance_id="i-9")), "cluster-incomplete", "node 1 more than once: i-1, i-9"),
        ((box(0), box(1, state="stopped")), "instance-stopped", "aws-train-1 is stopped"),
        ((box(0), replace(box(1), host=None)), "no-alias", "i-1 has no alias"),
    ],
)
def test_a_job_needs_every_node(boxes, code, said):
    with pytest.raises(BootstrapError, match=said) as caught:
        nodes.all_ready(cluster(*boxes))
    assert caught.value.code == code


def test_a_gap_is_filled_by_the_launch_that_the_hint_names():
    with pytest.raises(BootstrapError) as caught:
        nodes.all_ready(cluster(box(0), box(3)))
    assert caught.value.hint == ("Launch what is missing: {aws-bootstrap} cluster launch --cluster-id train --nodes 4")


def test_nodes_that_cannot_be_reached_are_no_obstacle_for_logs():
    found = nodes.reachable(cluster(box(0, state="stopped"), box(2), replace(box(3), host=None)))
    assert [one.rank for one in found] == [2]
    with pytest.raises(BootstrapError, match="aws-train-0 is stopped"):
        nodes.reachable(cluster(box(0, state="stopped")))


# --- code ------------------------------------------------------------------------------------------------


def test_scripts_are_named_relative_to_the_folder(tmp_path):
    found = code.code_in(tmp_path, "src/../src/train.py", f"{tmp_path}/data.sh")
    assert (found.script, found.data_script, found.launcher) == ("src/train.py", "data.sh", "torchrun")
    assert code.code_in(tmp_path, "job.sh", None).launcher == "shell"


@pytest.mark.parametrize("script", ["../train.py", "/tmp/train.py", "train", "train.txt"])
def test_a_script_is_a_py_or_sh_in_the_folder(tmp_path, script):
    with pytest.raises(UsageError):
        code.code_in(tmp_path, script, None)
    with pytest.raises(UsageError):
        code.code_in(tmp_path, "train.py", script)


@pytest.mark.parametrize("name", [".config", "venv", "workspace"])
def test_a_folder_that_boxes_have_for_something_else_is_not_sent(tmp_path, name):
    with pytest.raises(UsageError, match=f"~/{name}"):
        code.code_in(tmp_path / name, "train.py", None)
    with pytest.raises(UsageError):
        code.code_in(Path.home(), "train.py", None)
    with pytest.raises(UsageError):
        code.code_in(Path("/"), "train.py", None)


@pytest.mark.parametrize(
    ("given", "path"),
    [(None, "~/net/checkpoints"), ("out/ckpt", "~/net/out/ckpt"), ("/data/ckpt", "/data/ckpt"), ("~/ckpt", "~/ckpt")],
)
def test_checkpoints_are_in_the_code_folder_unless_a_path_says_otherwise(tmp_path, given, path):
    assert code.code_in(tmp_path / "net", "train.py", None).checkpoints(given) == path


# --- jobs ------------------------------------------------------------------------------------------------


def test_a_job_is_later_than_the_one_before_it():
    now = datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert job.new_name(now=now) == "job-20260101-235959"
    assert job.new_name("job-20260101-235959", now) == "job-20260102-000000"
    assert job.new_name("job-20260101-235958", now) == "job-20260101-235959"


def test_agents_get_all_that_they_need():
    task = job.Task("train.py", ("--steps", "3"), nproc="4", folder="net", checkpoint_dir="~/net/checkpoints")
    spec = job.spec_of(JOB, task)
    assert spec["nodes"][1] == {"rank": 1, "address": "10.0.0.11"}
    assert (spec["folder"], spec["nproc"], spec["arguments"]) == ("~/net", 4, ["--steps", "3"])
    assert spec["token"] != job.spec_of(JOB, task)["token"]
    assert job.spec_of(JOB, job.Task("a.sh"))["nproc"] == "auto"


# --- outcomes --------------------------------------------------------------------------------------------


def about(outcome: str, culprit: int | None = None, code: int | None = 75) -> dict[str, Any]:
    """What a node has noted of its part."""
    result = {"succeeded": outcome == "done", "outcome": outcome, "culprit": culprit, "reason": f"It is {outcome}."}
    return {"state": "exited", "exit_code": code, "result": result}


def report(*parts: Any):
    """The report of a job whose nodes have noted this, or do not answer."""
    ends = []
    for one, part in zip(NODES, parts, strict=True):
        known = {"error": part} if isinstance(part, BootstrapError) else {"about": part}
        ends.append(End(one, **known))
    return outcome.report_of(JOB, "us-west-2", ends, None)


GONE = SshError("aws-train-2 does not answer", code="ssh-timeout")


def test_a_job_succeeds_where_all_agents_say_so():
    shown = report(*[about("done", code=0)] * 3)
    assert (shown.succeeded, shown.outcome, shown.culprit) == (True, "done", None)
    assert [one.returncode for one in shown.results] == [0, 0, 0]
    assert error_for(shown) is None


def test_the_first_node_of_which_nothing_is_known_does_not_hide_the_outcome():
    shown = report(GONE, about("node-lost", 0), about("node-lost", 0))
    assert (shown.succeeded, shown.outcome, shown.culprit) == (False, "node-lost", 0)
    assert [one.returncode for one in shown.results] == [None, 75, 75]
    assert shown.results[0].error == str(GONE)


def test_where_the_network_broke_most_agents_are_right():
    """The hub is alone with its view, and so is a node that has lost the hub."""
    assert report(about("node-lost", 1), about("node-lost", 0), about("node-lost", 0)).culprit == 0
    assert report(about("node-lost", 2), about("node-lost", 2), about("node-lost", 0)).culprit == 2
    assert report(about("node-lost", 1), about("node-lost", 0), GONE).culprit == 1


def test_a_job_that_no_agent_knows_of_is_lost_or_unknown():
    killed = {"state": "lost", "exit_code": None, "result": None}
    shown = report(killed, GONE, GONE)
    assert (shown.succeeded, shown.outcome, shown.culprit) == (False, "agent-failed", 0)
    assert "rebooted" in str(shown.results[0].error)
    unknown = report(GONE, GONE, GONE)
    assert (unknown.succeeded, unknown.outcome) == (None, "unknown")
    error = error_for(unknown)
    assert error
    assert (error.code, error.exit_code) == ("ssh-lost", 1)
    assert "cluster attach --cluster-id train" in str(error.hint)


@pytest.mark.parametrize(
    ("ended", "culprit", "hinted"),
    [
        ("job-failed", 1, "cluster logs --cluster-id train --job job-20260101-000000 --rank 1"),
        ("node-lost", 1, "cluster launch --cluster-id train --nodes 3"),
        ("stopped", None, "cluster logs --cluster-id train --job job-20260101-000000\n"),
    ],
)
def test_a_failure_says_why_and_what_helps(ended, culprit, hinted):
    again = ("cluster", "run", "--cluster-id", "train", "my job.sh")
    error = error_for(replace(report(*[about(ended, culprit)] * 3), again=again))
    assert error
    assert (error.code, error.exit_code) == ("job-failed", 1)
    assert str(error) == f"job-20260101-000000: It is {ended}."
    assert hinted in str(error.hint)
    assert "Run it again: {aws-bootstrap} cluster run --cluster-id train 'my job.sh'" in str(error.hint)


def test_lost_nodes_are_those_that_the_others_miss():
    assert lost_ranks([End(NODES[0], about("node-lost", 2)), End(NODES[1], None)]) == {2}
    assert lost_ranks([End(NODES[0], about("job-failed", 1))]) == set()
    assert lost_ranks([End(NODES[0], {"result": None})]) == set()


def test_what_could_not_be_stopped_is_named():
    some = job.not_stopped("train", NODES, [about("stopped"), None, GONE])
    assert some
    assert "could not be stopped on node 2: aws-train-2 does not answer" in some
    assert "ends by itself" in some
    everywhere = job.not_stopped("train", NODES, [GONE] * 3)
    assert everywhere
    assert "It goes on. Stop it later: {aws-bootstrap} cluster cancel --cluster-id train" in everywhere
    assert job.not_stopped("train", NODES, [about("stopped"), None, None]) is None


def test_without_a_cluster_there_is_nothing_to_choose(app, cloud):
    with pytest.raises(BootstrapError, match="You have no cluster"):
        nodes.chosen(app, None, (factories.REGION,))
