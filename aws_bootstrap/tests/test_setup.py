"""`setup`: which box it finds, also by an id whose alias is not in the SSH config of this machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aws_bootstrap import keys, sshconfig
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.tests.test_ssh_config import BOX

EAST, WEST = "us-east-1", "us-west-2"


def hosts(app) -> list[sshconfig.Host]:
    return sshconfig.hosts(sshconfig.read(app.paths.ssh_config))


def error(done) -> dict:
    return json.loads(done.stdout)["error"]


def test_a_running_box_without_an_alias_here_is_set_up_by_its_id(program):
    code, box = program.json("launch", "--no-setup")
    assert code == 0
    (program.sandbox.home.root / "ssh_config").write_text("")
    code, done = program.json("setup", box["instance_id"])
    assert code == 0, done
    assert done["setup"] == "completed"
    assert done["ssh_alias"] == "aws-gpu1"
    assert program.ssh("aws-gpu1", "true").returncode == 0


@pytest.fixture
def key(app):
    """The default SSH key, made by this tool."""
    return keys.ensure(keys.inspect(LaunchConfig()))


@pytest.mark.parametrize("name", ["aws-gpu9", "i-0123456789abcdef0"])
def test_a_name_that_is_no_box_is_not_found(run, cloud, name):
    done = run("setup", name, "-o", "json")
    assert done.exit_code == 1
    assert error(done)["code"] == "not-found"
    assert name in error(done)["message"]


def test_an_instance_of_others_is_not_found(run, app, cloud, key):
    client = cloud.ec2(WEST)
    made = client.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge")
    done = run("setup", made["Instances"][0]["InstanceId"], "-o", "json")
    assert error(done)["code"] == "not-found"
    assert hosts(app) == []


def test_a_box_that_has_ended_is_not_found(run, app, cloud, key):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    cloud.ec2(WEST).terminate_instances(InstanceIds=[instance_id])
    assert error(run("setup", instance_id, "-o", "json"))["code"] == "not-found"


def test_a_stopped_box_has_no_address(run, app, cloud, key):
    client = cloud.ec2(EAST)
    instance_id = start_box(client)["InstanceId"]
    client.stop_instances(InstanceIds=[instance_id])
    done = run("setup", instance_id, "-o", "json")
    assert done.exit_code == 1
    assert error(done)["code"] == "no-public-ip"
    assert hosts(app) == []


def test_without_a_key_no_alias_is_written(run, app, cloud):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    done = run("setup", instance_id, "-o", "json")
    assert done.exit_code == 1
    assert error(done)["code"] == "ssh-key"
    assert hosts(app) == []


def test_a_script_that_cannot_be_read_writes_no_alias(run, app, cloud, key, tmp_path):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    done = run("setup", instance_id, "--setup-script", str(tmp_path / "none.sh"))
    assert done.exit_code == 2
    assert hosts(app) == []


class NoLogin:
    """A door to boxes that nobody can log in to."""

    def __init__(self, code: str) -> None:
        self.code = code

    def run(self, alias: str, *_: object, **__: object) -> None:
        raise SshError(f"{alias}: no login", code=self.code)


@pytest.mark.parametrize("code", ["ssh-refused", "ssh-timeout"])
def test_an_alias_that_was_added_and_nobody_could_log_in_by_is_removed_again(run, app, cloud, key, code):
    """An alias that exists is taken as it is: another --key-path, or the port as EC2 says it, would not be used."""
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    app.ssh = NoLogin(code)
    done = run("setup", instance_id, "-o", "json")
    assert error(done)["code"] == code
    assert "The alias is removed again." in error(done)["hint"]
    assert (f"setup {instance_id} --key-path" in error(done)["hint"]) == (code == "ssh-refused")
    assert json.loads(done.stdout)["ssh_alias"] is None
    assert hosts(app) == []


def test_an_alias_that_existed_stays_though_the_login_is_refused(run, app, cloud, key):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    sshconfig.add(app.paths.ssh_config, replace(BOX, instance_id=instance_id))
    app.ssh = NoLogin("ssh-refused")
    assert error(run("setup", instance_id, "-o", "json"))["code"] == "ssh-refused"
    assert [host.instance_id for host in hosts(app)] == [instance_id]


def test_where_a_region_could_not_be_read_the_box_may_be_there(run, cloud):
    cloud.deny(EAST)
    assert error(run("setup", "i-0123456789abcdef0", "-o", "json"))["code"] == "region-failed"
