"""A launch beside a box that was forgotten says so: two boxes bill."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aws_bootstrap import output, sshconfig
from aws_bootstrap.console import Console
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.workflows.launch.running import read_running, warn_of_running

EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture
def console():
    """A console that keeps its warnings; the usual one is put back."""
    console = Console()
    output.use(console)
    yield console
    output.use(Console())


def warned(document) -> list[tuple]:
    return [(w["region"], w["instance_id"]) for w in document["warnings"] if w["code"] == "box-running"]


def test_each_box_in_the_regions_of_the_launch_is_named(launch, app, cloud):
    named, nameless = (start_box(cloud.ec2(WEST))["InstanceId"] for _ in range(2))
    start_box(cloud.ec2("eu-west-1"))
    sshconfig.add(app.paths.ssh_config, factories.host(alias="", instance_id=named, region=WEST))
    for words in (("--dry-run",), ()):
        code, shown = launch("-r", WEST, "-r", EAST, *words)
        assert code == 0, shown
        assert sorted(warned(shown)) == sorted([(WEST, named), (WEST, nameless)])
        messages = [w["message"] for w in shown["warnings"] if w["code"] == "box-running"]
        assert any(m.endswith("terminate aws-gpu1") and "launched 0 min ago" in m for m in messages)
        assert any(m.endswith(f"terminate {nameless}") for m in messages)


def test_boxes_of_others_are_not_named(launch, app, cloud):
    yours = start_box(cloud.ec2(WEST))["InstanceId"]
    start_box(cloud.ec2(WEST), owner="AROAEXAMPLE:bob@example.com")
    untagged = start_box(cloud.ec2(WEST), owner=None)["InstanceId"]
    code, shown = launch("-r", WEST, "--dry-run")
    assert code == 0, shown
    assert sorted(warned(shown)) == sorted([(WEST, yours), (WEST, untagged)])


def test_boxes_that_do_not_run_are_not_named(launch, cloud):
    client = cloud.ec2(WEST)
    ids = [start_box(client)["InstanceId"] for _ in range(2)]
    client.stop_instances(InstanceIds=ids[:1])
    client.terminate_instances(InstanceIds=ids[1:])
    assert warned(launch("-r", WEST, "--dry-run")[1]) == []


def test_one_call_a_region_and_none_that_a_launch_must_wait_for(launch, cloud):
    start_box(cloud.ec2(WEST))
    cloud.deny(WEST, "DescribeInstances")
    cloud.calls.clear()
    code, shown = launch("-r", WEST, "-r", EAST, "--dry-run")
    assert code == 0, shown
    assert shown["warnings"] == []
    assert sorted(call for call in cloud.calls if call[1] == "DescribeInstances") == [
        (EAST, "DescribeInstances"),
        (WEST, "DescribeInstances"),
    ]


@pytest.mark.parametrize(
    ("elapsed", "age"),
    [
        (timedelta(seconds=-5), "0 min ago"),
        (timedelta(minutes=119), "119 min ago"),
        (timedelta(minutes=120), "2 h ago"),
        (timedelta(hours=47, minutes=59), "47 h ago"),
        (timedelta(hours=48), "2 d ago"),
    ],
)
def test_the_age_is_in_its_largest_unit(app, cloud, console, elapsed, age):
    start_box(cloud.ec2(WEST))
    (box,) = read_running(app, [WEST, WEST])
    warn_of_running(app, [box], box.launch_time + elapsed)
    assert f"launched {age}. End it:" in console.warnings[0].message


def test_a_region_that_does_not_answer_holds_up_no_launch(program):
    program.json("launch", "--no-setup")
    program.sandbox.fault(action="DescribeInstances", region=WEST, do={"delay": 30}, times=1)
    code, shown = program.json("launch", "--dry-run", env={"AWS_BOOTSTRAP_REGION_TIMEOUT": "6"})
    assert code == 0
    assert shown["warnings"] == []
