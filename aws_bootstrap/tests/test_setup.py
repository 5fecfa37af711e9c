"""`setup`: which box it finds, also by an id whose alias is not in the SSH config of this machine."""

from __future__ import annotations

import io
import json
import signal
import tarfile
from types import SimpleNamespace

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.models import SetupReport
from aws_bootstrap.ssh import VolumeUnformatted
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import Boxes, make_volume, start_box
from aws_bootstrap.tests.schema_check import without_next
from aws_bootstrap.tests.test_ssh_config import GLOBAL_OPTIONS
from aws_bootstrap.views import questions
from aws_bootstrap.workflows import setup

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
    instance_id = start_box(cloud.ec2(EAST))["InstanceId"]
    app.ssh = NoLogin(code)
    app.paths.known_hosts.parent.mkdir()
    app.paths.known_hosts.write_text(f"{instance_id} ssh-ed25519 AAAA\ni-0bbb ssh-ed25519 AAAA\n")
    done = run("setup", instance_id, "-o", "json")
    other_key = f" If the box accepts another key, name that key: aws-bootstrap setup {instance_id} --key-path PATH.pub"
    assert done.exit_code == 1
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": instance_id,
        "ssh_alias": None,
        "setup": "failed",
        "region": EAST,
        "setup_failed_step": "login",
        "regions_failed": [],
        "warnings": [],
        "error": {
            "code": code,
            "message": "aws-gpu1: no login",
            "hint": f"The alias aws-gpu1 was removed again.{other_key if code == 'ssh-refused' else ''}",
            "resources": [],
            "regions": [],
        },
    }
    assert hosts(app) == []
    assert app.paths.known_hosts.read_text() == "i-0bbb ssh-ed25519 AAAA\n"


def test_an_alias_that_was_added_stays_where_the_connection_broke_later(run, app, cloud, key):
    """By then somebody had logged in."""
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    app.ssh = NoLogin("ssh-lost")
    done = json.loads(run("setup", instance_id, "-o", "json").stdout)
    assert (done["ssh_alias"], done["setup_failed_step"]) == ("aws-gpu1", "connection")
    assert done["error"]["hint"] is None
    assert [host.alias for host in hosts(app)] == ["aws-gpu1"]


def test_an_alias_that_existed_stays_though_the_login_is_refused(run, app, cloud, key):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=instance_id))
    app.ssh = NoLogin("ssh-refused")
    done = json.loads(run("setup", instance_id, "-o", "json").stdout)
    assert (done["error"]["code"], done["error"]["hint"]) == ("ssh-refused", None)
    assert (done["ssh_alias"], done["setup_failed_step"]) == ("aws-gpu1", "login")
    assert [host.instance_id for host in hosts(app)] == [instance_id]


def test_where_a_region_could_not_be_read_the_box_may_be_there(run, cloud):
    cloud.deny(EAST)
    assert error(run("setup", "i-0123456789abcdef0", "-o", "json"))["code"] == "region-failed"


# --- boxes that let everybody in -------------------------------------------------------------------------


@pytest.fixture
def boxes(app, cloud) -> Boxes:
    """Boxes that let everybody in, and mount what they are asked to."""
    app.ssh = Boxes()
    return app.ssh


@pytest.fixture(params=[EAST, None], ids=["region", "no-region"])
def box(request, app, cloud) -> SimpleNamespace:
    """A box with an alias. Older versions wrote no region into the block: it is then the one that is used today."""
    region = request.param or WEST
    client = cloud.ec2(region)
    instance_id = start_box(client)["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=instance_id, region=request.param))
    return SimpleNamespace(id=instance_id, region=region, client=client)


def attachments(client, volume_id: str) -> list[str]:
    """The instances that a volume is attached to."""
    (volume,) = client.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return [attachment["InstanceId"] for attachment in volume["Attachments"]]


def test_a_setup_tells_the_box_its_cuda_and_its_volume(run, boxes, box):
    boxes.setup = SimpleNamespace(exit_code=0, lines=("@aws-bootstrap-report", '{"cuda_version": "12.8"}'))
    volume = make_volume(box.client, box.id)
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 0
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": box.id,
        "ssh_alias": "aws-gpu1",
        "setup": "completed",
        "region": box.region,
        "cuda_version": "12.8",
        "ebs_volume": {"volume_id": volume, "mount_point": "/data", "size_gb": 8, "mounted": True},
        "regions_failed": [],
        "warnings": [],
    }
    assert [command["do"] for command in json.loads(done.stdout)["next"]] == ["ssh", "terminate"]
    assert boxes.mounts == [("aws-gpu1", volume, False)]
    assert attachments(box.client, volume) == [box.id]


def test_a_setup_that_fails_tells_all_that_the_box_said(run, app, boxes, box):
    step = {"name": "python", "message": "no network", "tail": ["line 1", "line 2"]}
    report = {"failed_step": "python", "cuda_version": "12.8", "steps": [step]}
    boxes.setup = SimpleNamespace(exit_code=1, lines=("@aws-bootstrap-report", json.dumps(report)))
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 3
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": box.id,
        "ssh_alias": "aws-gpu1",
        "setup": "failed",
        "region": box.region,
        "setup_failed_step": "python",
        "setup_failed_reason": "no network",
        "setup_failed_output": ["line 1", "line 2"],
        "cuda_version": "12.8",
        "regions_failed": [],
        "warnings": [],
        "error": {
            "code": "setup-failed",
            "message": "The setup of aws-gpu1 failed at the step python: no network.",
            "hint": f"Show the log: ssh -F {app.paths.ssh_config} aws-gpu1 tail -n 50 .aws-bootstrap/setup.log\n"
            "Continue: aws-bootstrap setup aws-gpu1",
            "resources": [],
            "regions": [],
        },
    }


def test_the_box_is_sent_the_script_and_told_the_python(run, boxes, box, tmp_path):
    script = tmp_path / "own.sh"
    script.write_text("echo mine\n")
    done = run("setup", "aws-gpu1", "--python-version", "3.12", "--setup-script", str(script))
    assert done.exit_code == 0, done.stderr
    ((alias, command, sent),) = boxes.runs
    assert alias == "aws-gpu1"
    assert "3.12" not in command
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        script_sent, settings_sent = (tar.extractfile(name) for name in ("user-setup-script", "settings.json"))
        assert script_sent
        assert script_sent.read() == b"echo mine\n"
        assert settings_sent
        assert json.loads(settings_sent.read()) == {"python_version": "3.12"}


def test_a_setup_that_says_nothing_of_python_leaves_the_box_its_settings(run, boxes, box):
    assert run("setup", "aws-gpu1").exit_code == 0
    ((_, _, sent),) = boxes.runs
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        settings_sent = tar.extractfile("settings.json")
        assert settings_sent
        assert json.loads(settings_sent.read()) == {}


def test_a_box_without_an_alias_is_given_one_and_its_files(run, app, boxes, cloud, key):
    instance_id = start_box(cloud.ec2(EAST))["InstanceId"]
    cloud.calls.clear()
    done = json.loads(run("setup", instance_id, "-o", "json").stdout)
    asked = [region for region, operation in cloud.calls if operation == "DescribeVolumes"]
    assert asked == [EAST], "volumes are read once the box is set up"
    assert (done["setup"], done["ssh_alias"], boxes.runs[0][0]) == ("completed", "aws-gpu1", "aws-gpu1")
    assert [(host.alias, host.instance_id, host.region) for host in hosts(app)] == [("aws-gpu1", instance_id, EAST)]
    assert app.paths.known_hosts.stat().st_mode & 0o777 == 0o600


def test_an_ssh_config_that_ssh_cannot_read_is_left_as_it_is(run, app, boxes, cloud, key):
    app.paths.ssh_config.write_text("Host mine\n    Prot 22\n")
    done = run("setup", start_box(cloud.ec2(WEST))["InstanceId"], "-o", "json")
    assert error(done)["code"] == "ssh-config"
    assert boxes.runs == []
    assert app.paths.ssh_config.read_text() == "Host mine\n    Prot 22\n"


def test_a_block_below_global_options_is_moved_above_them(run, app, boxes, box):
    block = app.paths.ssh_config.read_text()
    older = block.replace("Host *\n", "").replace("    ProxyCommand none\n", "")
    app.paths.ssh_config.write_text(GLOBAL_OPTIONS + older)
    assert run("setup", "aws-gpu1").exit_code == 0
    assert app.paths.ssh_config.read_text() == block + GLOBAL_OPTIONS


def test_an_interrupted_setup_carries_the_box(run, boxes, box):
    boxes.on_login = lambda: signal.raise_signal(signal.SIGINT)
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 130
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": box.id,
        "ssh_alias": "aws-gpu1",
        "setup": "failed",
        "region": box.region,
        "setup_failed_step": "connection",
        "regions_failed": [],
        "warnings": [],
        "error": {"code": "interrupted", "message": "Interrupted.", "hint": None, "resources": [], "regions": []},
    }


# --- its data volume -------------------------------------------------------------------------------------


def test_a_volume_that_is_not_free_is_mounted_without_being_attached(run, cloud, boxes, box):
    volume = make_volume(box.client, box.id)
    box.client.attach_volume(VolumeId=volume, InstanceId=box.id, Device="/dev/sdf")
    cloud.calls.clear()
    assert run("setup", "aws-gpu1").exit_code == 0
    assert boxes.mounts == [("aws-gpu1", volume, False)]
    assert (box.region, "AttachVolume") not in cloud.calls


CONTINUE = "Continue: aws-bootstrap setup aws-gpu1"


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        (SshError("No such disk.", code="mount-failed", hint="Look at it."), f"Look at it.\n{CONTINUE}"),
        (
            VolumeUnformatted("No such disk.", code="mount-failed"),
            "Format it: aws-bootstrap setup aws-gpu1 --format-volume",
        ),
    ],
    ids=["failed", "unformatted"],
)
def test_a_volume_that_is_not_mounted_leaves_a_box_that_is_set_up(run, boxes, box, refusal, hint):
    boxes.refusal = refusal
    volume = make_volume(box.client, box.id)
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 3
    assert without_next(json.loads(done.stdout)) == {
        "instance_id": box.id,
        "ssh_alias": "aws-gpu1",
        "setup": "completed",
        "region": box.region,
        "ebs_volume": {"volume_id": volume, "mount_point": "/data", "size_gb": 8, "mounted": False},
        "regions_failed": [],
        "warnings": [],
        "error": {
            "code": "mount-failed",
            "message": "The data volume is not mounted: No such disk.",
            "hint": hint,
            "resources": [],
            "regions": [],
        },
    }


def test_a_volume_is_formatted_where_the_user_says_so(run, boxes, box):
    volume = make_volume(box.client, box.id)
    done = run("setup", "aws-gpu1", "--format-volume", "--yes")
    assert done.exit_code == 0
    assert boxes.mounts == [("aws-gpu1", volume, True)]
    assert f"{volume} (8 GB, ext4, newly formatted) at /data" in done.stderr


def test_a_volume_that_is_mounted_as_it_is_is_not_called_formatted(run, boxes, box):
    volume = make_volume(box.client, box.id)
    assert f"{volume} (8 GB, ext4) at /data" in run("setup", "aws-gpu1").stderr


def test_the_volume_that_was_asked_about_is_the_one_that_is_formatted(run, cloud, boxes, box):
    """EC2 lists the volumes of a box in no order: the other may hold data."""
    volumes = [make_volume(box.client, box.id), make_volume(box.client, box.id)]
    asked: list[str] = []

    def turn(reply):
        found = sorted(reply["Volumes"], key=lambda volume: volume["VolumeId"], reverse=bool(asked))
        reply["Volumes"] = found
        asked.append(found[0]["VolumeId"])

    cloud.faults.change_answer("DescribeVolumes", turn)
    assert run("setup", "aws-gpu1", "--format-volume", "--yes").exit_code == 0
    assert boxes.mounts == [("aws-gpu1", min(volumes), True)]


def test_without_a_volume_there_is_nothing_to_format(run, boxes, box):
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 1
    assert boxes.runs == []
    assert error(done) == {
        "code": "not-found",
        "message": "aws-gpu1 has no data volume.",
        "hint": "List boxes with their volumes: aws-bootstrap status",
        "resources": [],
        "regions": [],
        "next": [{"do": "status", "argv": ["aws-bootstrap", "status"]}],
    }


@pytest.mark.parametrize("host", [factories.host(), factories.host(alias="", region=None)], ids=["alias", "id"])
def test_the_box_is_reported_as_it_is_to_a_user_who_declines(app, cloud, host):
    assert setup.declined(app, host) == SetupReport("i-0aaa", host.alias or None, "skipped", region=WEST, declined=True)
    volume = factories.volume(size_gb=8, instance_id=None)
    asked = questions.format_volume(host.alias or host.instance_id, volume)
    assert "vol-1, 8 GB" in asked
    assert (host.alias or host.instance_id) in asked


def test_the_command_that_continues_a_failed_setup_runs_the_users_script_again(run, boxes, box, tmp_path):
    script = tmp_path / "my own.sh"
    script.write_text("exit 1\n")
    report = {"failed_step": "setup-script", "steps": []}
    boxes.setup = SimpleNamespace(exit_code=1, lines=("@aws-bootstrap-report", json.dumps(report)))
    done = run("setup", "aws-gpu1", "--setup-script", str(script), "-o", "json")
    continue_line = json.loads(done.stdout)["error"]["hint"].splitlines()[-1]
    assert continue_line == f"Continue: aws-bootstrap setup aws-gpu1 --setup-script '{script}'"
