"""`stop` and `start`: with the real program against the sandbox, and in this process against moto for what fails."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests.cloud import make_volume
from aws_bootstrap.views.power import stop_question
from aws_bootstrap.workflows.power import stop

WEST = "us-west-2"


def tagged(cloud, instance_id: str, **tags: str) -> None:
    found = [{"Key": f"aws-bootstrap-{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]
    cloud.ec2(WEST).create_tags(Resources=[instance_id], Tags=found)


def in_an_hour(hours: int = 1) -> datetime:
    return (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=0)


def addresses(app) -> dict[str, str]:
    return {host.alias: host.hostname for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config))}


@pytest.fixture
def stopped(cloud, box, boxes) -> str:
    """A stopped box with the alias aws-gpu1, whose alias has the address from before."""
    instance_id: str = box()
    cloud.ec2(WEST).stop_instances(InstanceIds=[instance_id])
    return instance_id


# --- with the real program ---------------------------------------------------------------------------------------


def test_a_box_is_stopped_and_started_with_its_disk_and_alias(program):
    box = program.json("launch", "--on-demand", "--no-setup", "--ebs-storage", "5")[1]
    assert program.ssh("aws-gpu1", "echo kept > kept.txt; sudo sh -c 'echo data > /data/file'").returncode == 0
    code, document = program.json("stop", "aws-gpu1", "--yes")
    assert code == 0
    (stopped,) = document["stopped"]
    assert (stopped["previous_state"], stopped["current_state"]) == ("running", "stopped")
    items = [(cost["item"], cost["monthly_cost_usd"]) for cost in stopped["monthly_costs"]]
    assert items == [("root volume", 8.0), ("data volume", 0.4)]
    assert stopped["monthly_cost_usd"] == 8.4
    purposes = [command["do"] for command in document["next"]]
    assert purposes == ["start", "terminate"]

    shown = program.json("status", "aws-gpu1")[1]
    (listed,) = shown["instances"]
    assert (listed["state"], listed["price_per_hour"], listed["monthly_cost_usd"]) == ("stopped", 0.0, 8.4)
    assert [command["do"] for command in shown["next"]] == ["start", "terminate"]
    said = program("status", "aws-gpu1").out
    assert "aws-bootstrap --sandbox start aws-gpu1" in said
    assert (listed["uptime_seconds"], "  Up  " in said) == (None, False)
    assert "start aws-gpu1" in program("ssh", "aws-gpu1", "--", "true").err
    assert "Stopped already: 1 box" in program("stop", "aws-gpu1", "--yes").out

    code, document = program.json("start", "aws-gpu1")
    assert code == 0, document
    (started,) = document["started"]
    assert (started["previous_state"], started["current_state"]) == ("stopped", "running")
    assert started["public_ip"] != box["public_ip"]
    assert started["price_per_hour"] == 0.526
    assert program.ssh("aws-gpu1", "cat kept.txt").stdout == "kept\n"
    assert program.ssh("aws-gpu1", "cat /data/file").stdout == "data\n", "the data volume is mounted again"
    again = program.json("start", "aws-gpu1")[1]["started"][0]
    assert again["previous_state"] == "running"


def test_a_spot_box_is_not_stopped_and_the_way_with_its_volume_is_named(program):
    box = program.json("launch", "--no-setup", "--ebs-storage", "5")[1]
    code, document = program.json("stop", "aws-gpu1", "--yes")
    assert (code, document["error"]["code"]) == (1, "spot-not-stoppable")
    assert "EC2 cannot stop" in document["error"]["message"]
    assert [command["argv"][2:] for command in document["error"]["next"]] == [
        ["terminate", "aws-gpu1", "--keep-ebs"],
        ["relaunch", box["instance_id"]],
        ["volume", "snapshot", "aws-gpu1"],
    ]
    assert program.json("status", "-r", WEST)[1]["instances"][0]["state"] == "running"


def test_a_box_that_was_off_past_its_deadline_needs_a_new_one(program):
    box = program.json("launch", "--on-demand", "--no-setup", "--ttl", "1h")[1]
    program.json("stop", "aws-gpu1", "--yes")
    passed = [{"Key": "aws-bootstrap-deadline", "Value": "2026-01-15T20:00:00+00:00"}]
    program.sandbox.client().create_tags(Resources=[box["instance_id"]], Tags=passed)
    code, document = program.json("start", "aws-gpu1")
    assert (code, document["error"]["code"]) == (2, "usage")
    assert "The deadline of aws-gpu1 has passed" in document["error"]["message"]
    assert "start aws-gpu1 --ttl 8h" in document["error"]["hint"]
    if program.sandbox.status()["boxes"] not in ("root", "user"):
        return  # such a box runs no guardian that could take a new limit
    code, document = program.json("start", "aws-gpu1", "--ttl", "2h")
    assert code == 0, document
    deadline = datetime.fromisoformat(document["started"][0]["deadline"])
    assert timedelta(hours=1, minutes=55) < deadline - datetime.now(UTC) < timedelta(hours=2)


def test_without_capacity_the_box_stays_stopped_and_its_zone_is_named(program):
    program.json("launch", "--on-demand", "--no-setup")
    program.json("stop", "aws-gpu1", "--yes")
    program.sandbox.fault(action="StartInstances", do={"error": "InsufficientInstanceCapacity", "status": 500})
    code, document = program.json("start", "aws-gpu1")
    assert (code, document["error"]["code"]) == (1, "no-capacity")
    assert re.search(r"in its own zone alone \(us-west-2[a-d]\)", document["error"]["hint"])
    assert document["error"]["resources"] == []
    assert document["started"] == []


# --- in this process ---------------------------------------------------------------------------------------------


def test_a_question_says_what_goes_on_billing(run, app, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id, size=20)
    cloud.ec2(WEST).attach_volume(VolumeId=volume, InstanceId=instance_id, Device="/dev/sdf")
    tagged(cloud, instance_id, deadline="2027-01-15T20:00:00+00:00")
    asked = stop_question(stop.plan(app, ["aws-gpu1"]))
    assert "data volume (20 GB) $1.60" in asked
    assert "public IPv4" not in asked
    assert "After that, `start` needs --ttl or --never." in asked
    assert run("stop", "aws-gpu1").exit_code == 2, "nobody can answer"


def test_a_stop_without_an_answer_is_looked_up(run, app, cloud, box):
    app.lookup_seconds = 0.0
    instance_id = box()
    cloud.fail("StopInstances", "InternalError")
    done = run("stop", "aws-gpu1", "--yes", "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["error"]["regions"][0]["reason"].startswith("aws-gpu1: ")
    assert document["stopped"] == []
    cloud.repair()
    done = run("stop", "aws-gpu1", instance_id, "--yes", "-o", "table")
    assert done.exit_code == 0, done.output
    assert "stopped" in done.stdout


def test_several_boxes_fail_one_by_one(run, app, cloud, box, boxes):
    first, second = box(), box()
    cloud.fail("StopInstances", "UnsupportedOperation", **{"InstanceId.1": second})
    done = run("stop", first, second, "--yes", "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert [one["instance_id"] for one in document["stopped"]] == [first]
    assert "Could not stop aws-gpu2" in document["error"]["message"]


def test_a_start_updates_the_alias_and_says_how_to_use_the_box(run, app, cloud, stopped):
    before = addresses(app)
    done = run("start", "aws-gpu1")
    assert done.exit_code == 0, done.output
    assert "aws-gpu1 runs again" in done.stdout
    assert "Price" in done.stdout
    assert "never by itself" in done.stdout
    found = cloud.ec2(WEST).describe_instances(InstanceIds=[stopped])["Reservations"][0]["Instances"][0]
    assert addresses(app) == {"aws-gpu1": found["PublicIpAddress"]} != before


def test_a_box_that_does_not_answer_runs_and_bills(run, app, cloud, stopped, boxes):
    def refuse() -> None:
        raise SshError("No answer.", code="ssh-timeout")

    boxes.on_login = refuse
    done = run("start", "aws-gpu1", "-o", "json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["code"]) == (3, "ssh-timeout")
    assert document["error"]["resources"] == [
        {"type": "instance", "id": stopped, "region": WEST, "billing": True},
    ]
    assert "stop aws-gpu1" in document["error"]["hint"]
    assert document["started"][0]["current_state"] == "running"


def test_an_interrupt_names_what_runs(run, app, cloud, stopped, boxes):
    def press() -> None:
        raise KeyboardInterrupt

    boxes.on_login = press
    done = run("start", "aws-gpu1", "-o", "json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["code"]) == (130, "interrupted")
    assert [one["id"] for one in document["error"]["resources"]] == [stopped]


def test_limits_are_set_as_extend_does_and_tags_that_fail_are_the_missing_half(run, app, cloud, stopped, boxes):
    deadline = in_an_hour(8)
    boxes.setup = Remote(0, (json.dumps({"deadline": deadline.timestamp(), "idle_timeout": None}),))
    done = run("start", "aws-gpu1", "--ttl", "8h", "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["started"][0]["deadline"] == deadline.isoformat()
    assert '{"deadline": 28800.0, "reason": "deadline"}' in boxes.runs[-1][1]
    cloud.ec2(WEST).stop_instances(InstanceIds=[stopped])
    cloud.fail("CreateTags", "UnauthorizedOperation")
    done = run("start", "aws-gpu1", "--ttl", "8h", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (3, "tags-failed")


def test_a_deadline_that_is_yet_to_come_needs_no_option(run, app, cloud, stopped):
    deadline = in_an_hour(3)
    tagged(cloud, stopped, deadline=deadline.isoformat())
    done = run("start", stopped, "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["started"][0]["deadline"] == deadline.isoformat()


def test_a_box_without_an_alias_here_gets_one(run, app, cloud, stopped, key):
    sshconfig.remove(app.paths.ssh_config, [stopped])
    done = run("start", stopped, "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["started"][0]["ssh_alias"] == "aws-gpu1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("start", "aws-gpu1", "--ttl", "2h", "--never"), "--ttl sets a deadline, and --never removes it."),
        (("start",), "Missing argument"),
        (("stop", "aws-gpu9", "--yes"), "No box named aws-gpu9"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, cloud, words, message):
    done = run(*words)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
