"""A launch by name: repeated, it returns the same box; and options that have no effect are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.programs import Program, writes

NAMED = ("launch", "--no-setup", "--name", "trainer")


def launches(program: Program) -> int:
    return len(program.sandbox.log("RunInstances"))


def test_the_name_is_alias_and_tag(program):
    code, box = program.json(*NAMED)
    assert code == 0
    assert box["ssh_alias"] == "trainer"
    assert "existing" not in box
    (instance,) = [one for one in program.sandbox.inventory() if one["type"] == "instance"]
    assert instance["tags"]["Name"] == "trainer"
    assert program.ssh("trainer", "echo in").stdout == "in\n"


def test_a_launch_that_is_repeated_returns_the_same_box(program):
    _, first = program.json(*NAMED)
    program.sandbox.clear_log()
    code, again = program.json(*NAMED, "--on-demand", "--instance-type", "g5.xlarge")
    assert code == 0
    assert writes(program) == []
    assert again["existing"] is True
    for key in ("instance_id", "public_ip", "ssh_alias", "region", "instance_type", "pricing"):
        assert again[key] == first[key]
    assert [warning["code"] for warning in again["warnings"]] == ["settings-differ"] * 2
    for key in ("price_per_hour", "monthly_cost_usd", "monthly_costs"):
        assert again[key] == first[key]
    assert [one["do"] for one in again["next"]][-3:] == ["setup", "status", "terminate"], "the setup may have failed"
    shown = program(*NAMED)
    assert "trainer exists already" in shown.out


def test_a_dry_run_of_a_name_that_exists_is_still_a_plan(program):
    program.json(*NAMED)
    code, plan = program.json(*NAMED, "--dry-run")
    assert (code, plan["name"]) == (0, "trainer")


def test_a_box_that_gets_the_name_meanwhile_is_returned(program):
    """Right before RunInstances the name is looked up again."""
    _, other = program.json("launch", "--no-setup")
    program.sandbox.clear_log()
    program.sandbox.fault(action="DescribeKeyPairs", do={"hold": True}, times=1)
    process = program.started(*NAMED, "-o", "json")
    assert program.sandbox.wait_held(30)
    client = program.sandbox.client()
    client.create_tags(Resources=[other["instance_id"]], Tags=[{"Key": "Name", "Value": "trainer"}])
    program.sandbox.release()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["instance_id"] == other["instance_id"]
    assert launches(program) == 0


def test_a_box_of_another_owner_is_neither_used_nor_launched_beside(program):
    _, box = program.json(*NAMED)
    _tag_owner(program, box, "AROAEXAMPLE:bob@example.com")
    program.sandbox.clear_log()
    code, refused = program.json(*NAMED)
    assert (code, refused["error"]["code"]) == (1, "not-yours")
    assert "AROAEXAMPLE:bob@example.com" in refused["error"]["message"]
    assert writes(program) == []


def test_your_box_of_the_name_is_found_beside_one_of_another_owner(program):
    _, others = program.json(*NAMED)
    _tag_owner(program, others, "AROAEXAMPLE:bob@example.com")
    _, yours = program.json("launch", "--no-setup")
    client = program.sandbox.client()
    client.create_tags(Resources=[yours["instance_id"]], Tags=[{"Key": "Name", "Value": "trainer"}])
    code, again = program.json(*NAMED)
    assert (code, again["instance_id"], again["existing"]) == (0, yours["instance_id"], True)


def test_a_box_without_an_owner_is_returned_with_a_warning(program):
    _, first = program.json(*NAMED)
    client = program.sandbox.client()
    client.delete_tags(Resources=[first["instance_id"]], Tags=[{"Key": "aws-bootstrap-owner"}])
    code, again = program.json(*NAMED)
    assert (code, again["instance_id"]) == (0, first["instance_id"])
    assert [warning["code"] for warning in again["warnings"]] == ["owner-unknown"]


def _tag_owner(program: Program, box: dict[str, Any], owner: str) -> None:
    client = program.sandbox.client()
    client.create_tags(Resources=[box["instance_id"]], Tags=[{"Key": "aws-bootstrap-owner", "Value": owner}])


def test_an_ended_box_gives_its_name_away(program):
    _, first = program.json(*NAMED)
    program.sandbox.client().terminate_instances(InstanceIds=[first["instance_id"]])
    code, second = program.json(*NAMED)
    assert (code, second["ssh_alias"]) == (0, "trainer")
    assert second["instance_id"] != first["instance_id"]
    assert program.ssh("trainer", "echo in").stdout == "in\n"


def test_a_stopped_box_is_named_and_not_started(program):
    _, box = program.json(*NAMED, "--on-demand")
    program.sandbox.client().stop_instances(InstanceIds=[box["instance_id"]])
    code, failed = program.json(*NAMED, "--on-demand")
    assert (code, failed["error"]["code"]) == (1, "instance-stopped")
    assert box["instance_id"] in failed["error"]["message"]
    assert f"start {box['instance_id']}" in failed["error"]["hint"]
    assert launches(program) == 1


def test_a_region_that_cannot_be_read_may_have_the_box(program):
    program.sandbox.fault(action="DescribeInstances", region="us-east-1", do={"error": "UnauthorizedOperation"})
    code, failed = program.json(*NAMED, "-r", "us-west-2", "-r", "us-east-1")
    assert code != 0
    assert launches(program) == 0
    assert "us-east-1" in failed["error"]["message"]


def test_a_host_of_the_users_own_keeps_its_name(program):
    config = Path(program.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"])
    config.write_text("Host trainer\n    HostName 192.0.2.7\n")
    code, failed = program.json(*NAMED)
    assert (code, failed["error"]["code"]) == (2, "usage")
    assert config.read_text() == "Host trainer\n    HostName 192.0.2.7\n"
    assert writes(program) == []


def test_an_alias_of_a_living_box_elsewhere_is_not_taken_over(program):
    program.json(*NAMED, "-r", "us-east-1")
    program.sandbox.clear_log()
    code, failed = program.json(*NAMED, "-r", "us-west-2")
    assert code == 1
    assert "is the alias of the box" in failed["error"]["message"]
    assert writes(program) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--wait-timeout", "5m"],
        ["--no-setup", "--python-version", "3.13"],
        ["--no-setup", "--setup-script", "x.sh"],
        ["--name", "i-0123"],
        ["--name", "a b"],
        ["--name", "trainer", "--tag", "Name=other"],
    ],
    ids=" ".join,
)
def test_options_without_effect_are_refused(program, words):
    code, failed = program.json("launch", *words)
    assert (code, failed["error"]["code"]) == (2, "usage")
    assert program.sandbox.log("RunInstances") == []


def test_an_option_of_the_environment_may_have_no_effect(program):
    env = {"AWS_BOOTSTRAP_LAUNCH_WAIT_TIMEOUT": "5m"}
    assert program.json("launch", "--dry-run", env=env)[0] == 0
