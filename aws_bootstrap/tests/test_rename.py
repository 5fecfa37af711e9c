"""`rename`: alias and tag change together, or the error says which half was done."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import sshconfig

WEST, EAST = "us-west-2", "us-east-1"


def name_of(cloud, instance_id: str) -> str | None:
    found = cloud.ec2(WEST).describe_tags(Filters=[{"Name": "resource-id", "Values": [instance_id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}.get("Name")


def aliases(app) -> list[str]:
    return [host.alias for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config))]


def failure(done) -> tuple[int, str, str]:
    error = json.loads(done.stdout)["error"]
    return done.exit_code, error["code"], f"{error['message']} {error['hint']}"


def test_a_renamed_box_is_used_extended_and_launched_again_by_its_new_name(program):
    box = program.json("launch", "--no-setup", "--on-demand", "--ebs-storage", "1")[1]
    code, renamed = program.json("rename", "aws-gpu1", "trainer")
    assert (code, renamed["previous_alias"], renamed["ssh_alias"]) == (0, "aws-gpu1", "trainer")
    assert program.ssh("trainer", "echo here").stdout == "here\n"
    assert program.ssh("aws-gpu1", "true").returncode == 255
    (shown,) = program.json("status", "-r", WEST)[1]["instances"]
    assert shown["ssh_alias"] == "trainer"
    existing = program.json("launch", "--name", "trainer", "--no-setup", "--on-demand")[1]
    assert existing["instance_id"] == box["instance_id"], "launch --name finds it by its tag"
    program.sandbox.client().terminate_instances(InstanceIds=[box["instance_id"]])
    code, again = program.json("relaunch", "trainer", "--yes")
    assert code == 0, again
    assert (again["ssh_alias"], again["ebs_volume"]["volume_id"]) == ("trainer", box["ebs_volume"]["volume_id"])


def test_both_halves_change(run, app, cloud, box):
    instance_id = box()
    done = run("rename", "aws-gpu1", "trainer")
    assert done.exit_code == 0, done.output
    assert "aws-gpu1 is trainer from now on" in done.stdout
    assert (name_of(cloud, instance_id), aliases(app)) == ("trainer", ["trainer"])
    assert run("rename", "trainer", "trainer").exit_code == 0, "to do what is missing of both"


@pytest.mark.parametrize("where", ["alias", "host", "tag"])
def test_a_name_in_use_is_refused(run, app, cloud, box, where):
    instance_id = box()
    if where == "alias":
        box()
        name = "aws-gpu2"
    elif where == "host":
        name = "mine"
        path = app.paths.ssh_config
        path.write_text(path.read_text() + "Host mine\n    HostName 192.0.2.9\n")
    else:
        name = "trainer"
        tags = [{"Key": "Name", "Value": name}]
        cloud.ec2(EAST).create_tags(Resources=[box(EAST)], Tags=tags)
    done = run("rename", instance_id, name, "-o", "json")
    assert failure(done)[:2] == (2, "usage")
    assert name_of(cloud, instance_id) != name
    assert "aws-gpu1" in aliases(app)


def test_a_tag_that_is_refused_changes_nothing(run, app, cloud, box):
    box()
    cloud.fail("CreateTags", "UnauthorizedOperation")
    code, error, _ = failure(run("rename", "aws-gpu1", "trainer", "-o", "json"))
    assert (code, error, aliases(app)) == (1, "access-denied", ["aws-gpu1"])


def test_an_interrupt_before_the_alias_says_which_half_is_done(run, app, cloud, box):
    app.lookup_seconds = 0.0
    instance_id = box()
    cloud.faults.interrupt("CreateTags")
    code, error, said = failure(run("rename", "aws-gpu1", "trainer", "-o", "json"))
    assert (code, error) == (130, "interrupted")
    assert f"rename {instance_id} trainer" in said
    assert "the alias may still be aws-gpu1" in said
    assert run("rename", instance_id, "trainer").exit_code == 0
    assert aliases(app) == ["trainer"]


def test_a_lost_answer_is_looked_up(run, app, cloud, box):
    app.lookup_seconds = 0.0
    box()
    cloud.faults.lose("CreateTags", times=5)
    done = run("rename", "aws-gpu1", "trainer", "-o", "json")
    assert done.exit_code == 0, done.output
    assert aliases(app) == ["trainer"]


def test_a_box_without_an_alias_here_is_refused(run, app, cloud, box):
    instance_id = box()
    sshconfig.remove(app.paths.ssh_config, [instance_id])
    assert failure(run("rename", instance_id, "trainer", "-o", "json"))[:2] == (1, "no-alias")


@pytest.mark.parametrize("name", ["i-trainer", "two words", "-x"])
def test_what_is_no_name_is_refused(run, name):
    done = run("rename", "--", "aws-gpu1", name)
    assert (done.exit_code, "is not a valid box name" in done.stderr) == (2, True)


def test_an_alias_that_cannot_be_written_is_the_missing_half(run, app, cloud, box):
    instance_id = box()
    path = app.paths.ssh_config

    def take_away(**_: object) -> None:
        path.unlink()
        path.mkdir()

    cloud.ec2(WEST).meta.events.register_first("before-call.ec2.CreateTags", take_away)
    code, error, said = failure(run("rename", "aws-gpu1", "trainer", "-o", "json"))
    assert (code, error) == (3, "ssh-config")
    assert "The tag Name is trainer already" in said
    assert name_of(cloud, instance_id) == "trainer"
