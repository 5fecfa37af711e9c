"""`relaunch`: an ended box comes back with options, alias and data volume, from whatever still knows them."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.ec2 import tags
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.workflows import relaunch
from aws_bootstrap.workflows.launch.words import option_words

EAST, WEST = "us-east-1", "us-west-2"
LINE = "--on-demand --instance-type g5.xlarge --ebs-storage 20 --ttl 28800 --region us-east-1"


def tagged(client, resource: str, line: str) -> None:
    client.create_tags(Resources=[resource], Tags=tags.as_list(ec2.settings_tags(line)))


def ended_box(cloud, region: str = EAST) -> str:
    client = cloud.ec2(region)
    instance_id: str = start_box(client)["InstanceId"]
    client.terminate_instances(InstanceIds=[instance_id])
    return instance_id


def add_alias(app, instance_id: str, *, settings: str | None, region: str = EAST) -> None:
    host = factories.host(alias="aws-gpu1", instance_id=instance_id, region=region)
    sshconfig.add(app.paths.ssh_config, replace(host, settings=settings))


# --- where the settings are ------------------------------------------------------------------------------


def test_the_ssh_config_has_them_by_alias(app, cloud):
    instance_id = ended_box(cloud)
    add_alias(app, instance_id, settings=LINE)
    assert relaunch.plan(app, "aws-gpu1") == [*LINE.split(), "--name", "aws-gpu1"]


def test_the_instances_tags_have_them_by_id_in_any_region(app, cloud):
    client = cloud.ec2(EAST)
    instance_id = start_box(client)["InstanceId"]
    tagged(client, instance_id, LINE)
    client.terminate_instances(InstanceIds=[instance_id])
    assert relaunch.plan(app, instance_id) == LINE.split()


def test_the_data_volumes_tags_have_them_when_ec2_has_forgotten_the_instance(app, cloud):
    client = cloud.ec2(EAST)
    volume_id = make_volume(client, "i-0aaaaaaaaaaaaaaaa")
    tagged(client, volume_id, LINE)
    kept = ["--on-demand", "--instance-type", "g5.xlarge", "--ttl", "28800"]
    words = relaunch.plan(app, "i-0aaaaaaaaaaaaaaaa")
    assert words == [*kept, "--region", EAST, "--ebs-volume-id", volume_id]


def test_a_box_with_defaults_alone_comes_back_too(app, cloud):
    """An empty line is kept settings, and no settings are not."""
    instance_id = ended_box(cloud)
    add_alias(app, instance_id, settings="")
    assert relaunch.plan(app, "aws-gpu1") == ["--name", "aws-gpu1"]


@pytest.mark.parametrize("settings", [None, "--ttl 'half a quote"])
def test_settings_that_nobody_has_are_not_found(run, app, cloud, settings):
    instance_id = ended_box(cloud)
    add_alias(app, instance_id, settings=settings)
    done = run("relaunch", "aws-gpu1", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "not-found")
    assert "aws-bootstrap launch --instance-type g4dn.xlarge" in error["hint"]


def test_an_alias_that_this_machine_lacks_is_not_found(run, cloud):
    done = run("relaunch", "aws-gpu7", "-o", "json")
    assert json.loads(done.stdout)["error"]["code"] == "not-found"


def test_a_box_that_runs_is_shown_and_not_launched_again(run, app, cloud):
    """A script may repeat the command."""
    instance_id = start_box(cloud.ec2(EAST))["InstanceId"]
    add_alias(app, instance_id, settings=LINE)
    done = run("relaunch", "aws-gpu1", "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert (document["instance_id"], document["existing"], document["ssh_alias"]) == (instance_id, True, "aws-gpu1")
    cloud.ec2(EAST).stop_instances(InstanceIds=[instance_id])
    done = run("relaunch", "aws-gpu1", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "instance-stopped")
    assert "aws-bootstrap terminate aws-gpu1" in error["hint"]


def test_a_region_that_cannot_be_read_is_no_reason_to_give_up_the_settings(app, cloud):
    cloud.deny(EAST)
    with pytest.raises(BootstrapError) as failure:
        relaunch.plan(app, "i-0aaaaaaaaaaaaaaaa")
    assert failure.value.code == "region-failed"


# --- how they are kept -----------------------------------------------------------------------------------


def test_a_long_line_takes_two_tags_and_one_that_is_too_long_none():
    for length in (0, 1, 256, 257, 512):
        line = "x" * length
        kept = ec2.settings_tags(line)
        assert all(len(value) <= 256 for value in kept.values())
        assert tags.settings(kept) == line
    assert tags.settings(ec2.settings_tags("x" * 513)) is None
    assert tags.settings({}) is None


def test_a_shorter_line_leaves_nothing_of_a_longer_one():
    before = ec2.settings_tags("x" * 500)
    assert tags.settings(before | ec2.settings_tags("short")) == "short"


@pytest.mark.parametrize("line", ["", "--tag 'a b=100% \"c\"'", "--ttl 3600"])
def test_the_ssh_config_gives_the_line_back(line):
    text = sshconfig.with_host("Host mine\n", factories.host(settings=line))
    (host,) = sshconfig.hosts(text)
    assert host.settings == line
    assert sshconfig.without_host(text, host.instance_id) == "Host mine\n"


def test_the_line_of_a_launch_is_a_launch(app):
    config = LaunchConfig(instance_type=("g5.xlarge",), tag={"team": "a b"}, ttl=3600.0)
    line = shlex.join(option_words(config))
    assert line == "--instance-type g5.xlarge --ttl 3600 --tag 'team=a b'"


# --- cleanup ---------------------------------------------------------------------------------------------


def test_cleanup_prints_the_launch_before_it_removes_the_alias(run, app, cloud):
    add_alias(app, ended_box(cloud), settings=LINE)
    command = f"aws-bootstrap launch {LINE} --name aws-gpu1"
    assert command in run("cleanup", "--dry-run").stdout
    done = run("cleanup", "--yes")
    assert done.exit_code == 0, done.output
    assert command in done.stdout
    assert sshconfig.hosts(sshconfig.read(app.paths.ssh_config)) == []


# --- with the real program -------------------------------------------------------------------------------


def test_an_interrupted_box_comes_back_with_alias_volume_and_limit(program, wait_for):
    code, box = program.json("launch", "--no-setup", "--ebs-storage", "5", "--ttl", "8h", "--tag", "team=vision")
    assert code == 0, box
    (host,) = sshconfig.hosts((program.sandbox.home.root / "ssh_config").read_text())
    for words in ("--ebs-storage 5", "--no-setup", "--ttl 28800", "--tag team=vision", f"--region {WEST}"):
        assert words in str(host.settings)
    program.sandbox.interrupt(box["instance_id"])
    code, again = program.json("relaunch", "aws-gpu1")
    assert code == 0, again
    assert again["instance_id"] != box["instance_id"]
    assert again["ssh_alias"] == "aws-gpu1"
    assert again["ebs_volume"] == box["ebs_volume"]
    assert again["deadline"]
    assert program.ssh("aws-gpu1", "mountpoint /data").returncode == 0
    code, once_more = program.json("relaunch", "aws-gpu1")
    assert (code, once_more["existing"], once_more["instance_id"]) == (0, True, again["instance_id"])
