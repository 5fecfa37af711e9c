"""`extend`: the limits change on the box and in the tags, or the error says which half was done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.tests.schema_check import without_next

WEST = "us-west-2"


class Guardian:
    """A box whose guardian answers with these lines."""

    def __init__(self, *lines: str, exit_code: int = 0) -> None:
        self.lines = lines
        self.exit_code = exit_code
        self.commands: list[str] = []

    def run(self, alias: str, command: str, **_: object) -> Remote:
        """Answer."""
        self.commands.append(command)
        return Remote(self.exit_code, self.lines)


class Stopped(Guardian):
    """A box whose user presses Ctrl-C."""

    def run(self, alias: str, command: str, **_: object) -> Remote:
        """Be interrupted."""
        raise KeyboardInterrupt


def stop_at(cloud, operation: str) -> None:
    """Press Ctrl-C when this call is sent."""

    def press(**_: object) -> None:
        raise KeyboardInterrupt

    cloud.ec2(WEST).meta.events.register_first(f"before-call.ec2.{operation}", press)


class Gone(Guardian):
    """A box that loses the connection."""

    def run(self, alias: str, command: str, **_: object) -> Remote:
        """Lose it."""
        raise SshError("The connection broke.", code="ssh-lost")


@pytest.fixture
def box(app, cloud) -> str:
    """The id of a running box with the alias aws-gpu1."""
    instance_id: str = start_box(cloud.ec2(WEST))["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(alias="aws-gpu1", instance_id=instance_id, region=WEST))
    return instance_id


def tags_of(cloud, instance_id: str) -> dict[str, str]:
    found = cloud.ec2(WEST).describe_tags(Filters=[{"Name": "resource-id", "Values": [instance_id]}])["Tags"]
    limits = ("aws-bootstrap-deadline", "aws-bootstrap-idle-timeout")
    return {tag["Key"]: tag["Value"] for tag in found if tag["Key"] in limits}


def later(hours: int) -> datetime:
    return (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=0)


def test_the_limits_of_the_guardian_are_shown_and_tagged(run, app, cloud, box):
    deadline = later(2)
    app.ssh = Guardian(json.dumps({"deadline": deadline.timestamp() + 0.4, "idle_timeout": 5400.0}))
    done = run("extend", "aws-gpu1", "2h", "--idle-timeout", "90m", "-o", "json")
    assert done.exit_code == 0, done.output
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": box,
        "ssh_alias": "aws-gpu1",
        "region": WEST,
        "deadline": deadline.isoformat(),
        "idle_timeout_seconds": 5400,
        "regions_failed": [],
        "warnings": [],
    }
    (command,) = app.ssh.commands
    assert '{"extend": 7200.0, "reason": "deadline", "idle_timeout": 5400.0}' in command
    assert tags_of(cloud, box) == {
        "aws-bootstrap-deadline": deadline.isoformat(),
        "aws-bootstrap-idle-timeout": "5400",
    }
    (shown,) = json.loads(run("status", "-r", WEST, "-o", "json").stdout)["instances"]
    assert (shown["deadline"], shown["idle_timeout_seconds"]) == (deadline.isoformat(), 5400)
    text = run("status", "-r", WEST, "-I").stdout
    assert f"at {deadline:%Y-%m-%d %H:%M} UTC, in 1 h 59 min, or after 1 h 30 min without work" in text


def test_status_says_what_a_box_leaves_when_it_ends(run, app, cloud, box):
    client = cloud.ec2(WEST)
    volume = make_volume(client, box, size=20)
    client.attach_volume(VolumeId=volume, InstanceId=box, Device="/dev/sdf")
    assert "Then" not in run("status", "-r", WEST, "-I").stdout
    client.create_tags(Resources=[box], Tags=[{"Key": "aws-bootstrap-idle-timeout", "Value": "3600"}])
    text = run("status", "-r", WEST, "-I").stdout
    assert f"{volume} stays, and bills about $1.60/month" in text
    assert f"aws-bootstrap launch --region {WEST} --ebs-volume-id {volume}" in text
    assert "aws-bootstrap cleanup --include-ebs" in text
    client.create_tags(Resources=[volume], Tags=[{"Key": "aws-bootstrap-keep", "Value": "true"}])
    assert "cleanup --include-ebs" not in run("status", "-r", WEST, "-I").stdout, "it would not delete a kept volume"


def test_never_removes_both_limits_and_their_tags(run, app, cloud, box):
    old = [{"Key": "aws-bootstrap-deadline", "Value": "2026-01-15T20:00:00+00:00"}]
    cloud.ec2(WEST).create_tags(Resources=[box], Tags=old)
    app.ssh = Guardian(json.dumps({"deadline": None, "idle_timeout": None}))
    done = run("extend", box, "--never")
    assert done.exit_code == 0, done.output
    assert "Ends        never by itself" in done.stdout
    assert "aws-bootstrap extend aws-gpu1 8h" in done.stdout
    assert '{"deadline": null, "idle_timeout": null}' in app.ssh.commands[0]
    assert tags_of(cloud, box) == {}


def test_tags_that_cannot_be_written_are_the_half_that_is_missing(run, app, cloud, box):
    app.ssh = Guardian(json.dumps({"deadline": later(2).timestamp(), "idle_timeout": None}))
    cloud.fail("CreateTags", "UnauthorizedOperation")
    done = run("extend", "aws-gpu1", "2h", "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert document["deadline"]
    assert document["error"]["code"] == "tags-failed"
    assert "The box has its new limits, but its tags" in document["error"]["message"]
    assert f"aws ec2 create-tags --region {WEST} --resources {box} --tags Key=aws-" in document["error"]["hint"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Guardian("python3: can't open file 'g.py': [Errno 2] No such file", exit_code=2), "has no guardian"),
        (Guardian("sudo: a password is required", exit_code=1), "did not change the limits: sudo: a password"),
        (Guardian(exit_code=0), "did not change the limits: no output"),
    ],
)
def test_a_box_that_refuses_keeps_its_tags(run, app, cloud, box, answer, message):
    app.ssh = answer
    done = run("extend", "aws-gpu1", "2h", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "no-guardian")
    assert message in error["message"]
    assert tags_of(cloud, box) == {}


def test_a_connection_that_breaks_leaves_the_outcome_open(run, app, cloud, box):
    app.ssh = Gone()
    done = run("extend", "aws-gpu1", "2h", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "ssh-lost")
    assert "not known whether the limits changed" in error["hint"]


@pytest.mark.parametrize("moment", ["ssh", "tags"])
def test_an_interrupt_says_which_half_may_be_done(run, app, cloud, box, moment):
    app.ssh = Stopped() if moment == "ssh" else Guardian(json.dumps({"deadline": later(2).timestamp()}))
    if moment == "tags":
        stop_at(cloud, "CreateTags")
    done = run("extend", "aws-gpu1", "2h", "-o", "json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["code"]) == (130, "interrupted")
    if moment == "ssh":
        assert "not known whether the limits changed" in document["error"]["hint"]
    else:
        assert document["deadline"]
        assert "The box has its new limits, but perhaps not its tags." in document["error"]["hint"]


def test_a_box_without_an_alias_here_or_that_does_not_run_is_refused(run, app, cloud, box):
    sshconfig.remove(app.paths.ssh_config, [box])
    done = run("extend", box, "2h", "-o", "json")
    assert json.loads(done.stdout)["error"]["code"] == "no-alias"
    cloud.ec2(WEST).stop_instances(InstanceIds=[box])
    done = run("extend", box, "2h", "-o", "json")
    assert json.loads(done.stdout)["error"]["code"] == "instance-stopped"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("extend", "aws-gpu1"), "Nothing to change was named."),
        (("extend", "aws-gpu1", "2h", "--never"), "TIME sets a deadline, and --never removes it."),
        (("extend", "aws-gpu1", "30"), "less than a minute"),
        (("launch", "--ttl", "soon"), "is not a duration"),
        (("launch", "--idle-timeout", "59s"), "less than a minute"),
        (("launch", "--max-cost", "0"), "is not a price"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_call(run, words, message):
    done = run(*words)
    assert done.exit_code == 2
    assert message in done.stderr
