"""`bake`, `image` and `launch --image`: with the real program and the real ssh, and their errors in this process."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner, Result

from aws_bootstrap import sshconfig
from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.errors import SshError
from aws_bootstrap.paths import Paths
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.tests.terminal import run_at_terminal
from aws_bootstrap.workflows import bake_box, own_images
from aws_bootstrap.workflows.provision import resources_version

WEST = "us-west-2"

#: What a day leaves on a box: secrets, history, work, and a secret that nobody can know as one by its place.
DAY = """
mkdir -p ~/.aws ~/.cache/huggingface ~/.config/gh ~/.config/wandb ~/.huggingface ~/.docker ~/project/.git ~/.ssh
echo secret | tee ~/.aws/credentials ~/.cache/huggingface/token ~/.config/gh/hosts.yml ~/.config/wandb/settings \\
  ~/.huggingface/token ~/.docker/config.json ~/.git-credentials ~/.netrc ~/.bash_history ~/.python_history >/dev/null
echo "url = https://me:secret@example.com/x" >~/project/.git/config
echo secret | tee ~/project/.env ~/.ssh/id_ed25519 >/dev/null
echo "export HF_TOKEN=secret" >>~/.profile
echo work >~/project/result.txt; echo kept >~/venv/kept; echo data >/data/kept
sudo mkdir -p /etc/ssh /var/log/journal/old
echo secret | sudo tee /etc/ssh/ssh_host_rsa_key /var/log/journal/old/system.journal /var/log/auth.log >/dev/null
"""
#: The files of the day that a box from the image must not have.
REMOVED = """
~/.aws ~/.cache/huggingface/token ~/.config/gh ~/.config/wandb ~/.huggingface ~/.docker/config.json ~/.git-credentials
~/.netrc ~/.ssh/id_ed25519 ~/.bash_history ~/.python_history
/etc/ssh/ssh_host_rsa_key /var/log/journal/old /var/log/auth.log
"""
REMAINING = ["/home/ubuntu/.profile", "/home/ubuntu/project/.env"]
IDENTITY = "cat /etc/machine-id ~/.aws-bootstrap/jupyter.env ~/.ssh/authorized_keys"


def found_on(program, alias: str, paths: str) -> list[str]:
    return program.ssh(alias, f"ls -d {' '.join(paths.split())} 2>/dev/null").stdout.split()


def test_a_box_from_an_image_has_the_work_and_none_of_the_secrets(program):
    launched = program("launch", "--ttl", "8h", "--ebs-storage", "1", "-o", "json").document
    assert program.ssh("aws-gpu1", DAY).returncode == 0
    identity = program.ssh("aws-gpu1", IDENTITY).stdout.split()
    held = len(found_on(program, "aws-gpu1", REMOVED))
    code, baked = program.json("bake", "aws-gpu1", "--name", "trainer", "--yes")
    assert code == 0, baked
    assert (baked["state"], baked["source_ready"], baked["source"]) == ("available", True, launched["instance_id"])
    assert baked["remaining_secrets"] == [*REMAINING, "/home/ubuntu/project/.git/config"]
    assert baked["monthly_cost_usd"] == 5.0
    assert ["aws-bootstrap", "--sandbox", "launch", "--image", baked["image_id"], "--region", WEST] in [
        one["argv"] for one in baked["next"]
    ]
    check_image(program, baked, launched["instance_id"])
    check_source(program, launched, identity, held)
    check_copy(program, identity)


def check_image(program, baked, instance_id: str) -> None:
    """It has the root disk alone, and its snapshot the same tags as itself."""
    client = program.sandbox.client()
    (image,) = client.describe_images(ImageIds=[baked["image_id"]])["Images"]
    assert [mapping["DeviceName"] for mapping in image["BlockDeviceMappings"]] == [image["RootDeviceName"]]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert (tags["Name"], tags["created-by"], tags["aws-bootstrap-user"]) == ("trainer", "aws-bootstrap-g4dn", "ubuntu")
    assert tags["aws-bootstrap-source"] == instance_id
    assert tags["aws-bootstrap-resources"] == resources_version()
    assert tags["aws-bootstrap-setup"].startswith("cuda 13.2, python ")
    (snapshot,) = client.describe_snapshots(SnapshotIds=[baked["snapshot_id"]])["Snapshots"]
    assert {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]} == tags
    (row,) = program.json("image", "ls")[1]["images"]
    assert (row["image_id"], row["yours"], row["setup_files"]) == (baked["image_id"], True, "current")
    costs = program.json("costs")[1]
    of_image = [item for item in costs["items"] if item["item"] in ("image", "snapshot")]
    assert [(item["item"], item["monthly_cost_usd"]) for item in of_image] == [("image", 5.0)]


def check_source(program, launched, identity: list[str], held: int) -> None:
    """The box that was baked has everything as before, its deadline and its data volume too."""
    assert program.ssh("aws-gpu1", IDENTITY).stdout.split() == identity
    assert len(found_on(program, "aws-gpu1", REMOVED)) == held
    assert program.ssh("aws-gpu1", "cat /data/kept").stdout == "data\n"
    limits = json.loads(program.ssh("aws-gpu1", "sudo cat /var/lib/aws-bootstrap/limits.json").stdout)
    assert limits["instance_id"] == launched["instance_id"]
    assert limits["deadline"]


def check_copy(program, identity: list[str]) -> None:
    """A box from the image has the work, and is another box in everything else."""
    again = program("launch", "--image", "baked", "--idle-timeout", "1h", "-o", "json")
    assert again.exit_code == 0, again.err
    assert {one["code"] for one in again.document["warnings"]} == {"box-running"}
    assert found_on(program, "aws-gpu2", REMOVED) == []
    assert program.ssh("aws-gpu2", "cat ~/project/result.txt ~/venv/kept").stdout == "work\nkept\n"
    machine, token, *key = identity
    now = program.ssh("aws-gpu2", IDENTITY).stdout.split()
    assert now[0] != machine
    assert now[1] != token
    assert now[2:] == key, "the key of this launch, once"
    assert program.ssh("aws-gpu2", "ls -A /data; grep data /etc/fstab").stdout == ""
    limits = json.loads(program.ssh("aws-gpu2", "sudo cat /var/lib/aws-bootstrap/limits.json").stdout)
    assert (limits["instance_id"], limits["deadline"]) == (again.document["instance_id"], None)
    report = json.loads(program.ssh("aws-gpu2", "cat ~/.aws-bootstrap/setup.json").stdout)
    changed = {step["name"] for step in report["steps"] if step["outcome"] != "unchanged"}
    assert changed == {"gpu", "cuda-test"}, "what looks at the hardware"
    assert program.ssh("aws-gpu2", "ls /etc/aws-bootstrap").stdout.split() == ["guardian.env"]
    code, removed = program.json("image", "rm", "trainer", "--yes")
    assert code == 0, removed
    assert [len(one["snapshots_deleted"]) for one in removed["removed"]] == [1]
    assert program.sandbox.client().describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert program.ssh("aws-gpu2", "true").returncode == 0


def test_a_copy_of_which_not_everything_could_be_removed_is_powered_off(program):
    """Nobody may log in to a box that still has another one's tokens."""
    assert program("launch", "--no-setup", "-o", "json").exit_code == 0
    fails = "printf '#!/bin/sh\\nexit 1\\n' | sudo tee /usr/local/bin/find; sudo chmod 755 /usr/local/bin/find"
    assert program.ssh("aws-gpu1", fails).returncode == 0
    assert program.json("bake", "aws-gpu1", "--yes")[0] == 0
    code, failed = program.json("launch", "--image", "baked", "--no-setup", "--ssh-timeout", "5s")
    assert code in (1, 3)
    # Whether the launch saw it running before it ended is a matter of moments.
    assert failed["error"]["code"] in ("instance-ended", "ssh-timeout")
    console = program.sandbox.client().get_console_output(InstanceId=failed["instance_id"])
    assert "it is powered off" in console["Output"]


def test_each_step_of_a_bake_is_shown_as_done(program):
    assert program("launch", "--no-setup", "-o", "json").exit_code == 0
    code, terminal = run_at_terminal(["bake", "aws-gpu1", "--yes"], program.sandbox.env)
    assert code == 0
    assert [line[:7] for line in terminal.lines if re.match(r"\S \[\d/3\]", line)] == ["✓ [1/3]", "✓ [2/3]", "✓ [3/3]"]


def test_a_bake_that_is_interrupted_names_the_image(program):
    assert program("launch", "--no-setup", "-o", "json").exit_code == 0
    program.sandbox.fault(action="DescribeImages", skip=3, do={"delay": 30.0})
    under_way = program.started("bake", "aws-gpu1", "--yes", "-o", "json")
    while not program.sandbox.log("CreateImage"):
        assert under_way.poll() is None
    under_way.send_signal(signal.SIGINT)
    out, err = under_way.communicate(timeout=60)
    failed = json.loads(out)
    assert under_way.returncode == 130, err
    (image,) = program.sandbox.client().describe_images(Owners=["self"])["Images"]
    assert failed["image_id"] in (image["ImageId"], None)
    assert failed["error"]["code"] == "interrupted"
    assert "image" in failed["error"]["hint"]


# --- in this process ---------------------------------------------------------------------------------------------


@dataclass
class Answers:
    """A box that can be baked."""

    setup: str = '{"outcome": "completed", "cuda_version": "12.8"}'
    prepared: str = "prepared"
    is_back: bool = True
    commands: list[str] = field(default_factory=list)

    def run(self, alias: str, command: str, **_: object) -> Remote:
        self.commands.append(command)
        if "@setup" in command:
            return Remote(0, ("@setup", self.setup, "@resources", "abc", "@mounted", "@secrets", "/home/me/.env"))
        if "prepare.sh" in command:
            return Remote(0 if self.prepared == "prepared" else 1, (self.prepared,))
        if not self.is_back:
            raise SshError("Connection refused", code="ssh-refused")
        return Remote(0, ())


@dataclass
class World:
    """A sandbox without boxes, and the program in this process."""

    sandbox: Sandbox
    app: App
    box: str = ""

    def __call__(self, *args: str, **more: object) -> Result:
        return CliRunner().invoke(main, list(args), obj=self.app, **more)  # type: ignore[arg-type]

    def json(self, *args: str) -> tuple[int, dict]:
        done = self(*args, "-o", "json")
        return done.exit_code, json.loads(done.stdout)

    def images(self) -> list[dict]:
        return self.sandbox.client().describe_images(Owners=["self"])["Images"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("bake") / "sandbox", boxes=False) as sandbox:
        yield sandbox


@pytest.fixture
def world(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A running box with an alias."""
    for name, value in served.variables.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    served.wipe()
    world = World(served, App(paths=Paths(os.environ)))
    world.app.paths.ssh_config.unlink(missing_ok=True)
    world.app.ssh = Answers()  # type: ignore[assignment]
    client = served.client()
    image = next(one for one in client.describe_images(Owners=["amazon"])["Images"] if "Ubuntu" in one["Name"])
    world.box = start_box(client, ImageId=image["ImageId"])["InstanceId"]
    client.get_waiter("instance_running").wait(InstanceIds=[world.box], WaiterConfig={"Delay": 1})
    host = factories.host(alias="aws-gpu1", instance_id=world.box, region=WEST, user="me")
    sshconfig.add(world.app.paths.ssh_config, host)
    return world


def bake(world: World, *words: str) -> tuple[int, dict]:
    return world.json("bake", "aws-gpu1", "--yes", *words)


class Declines(App):
    """A user at a terminal who says no; the questions are kept."""

    def require_answer(self, *, yes: bool) -> None:
        """Let the question be asked."""

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Decline."""
        self.question = question
        return False


def test_the_question_says_what_happens_and_no_is_no(world):
    declining = Declines(paths=world.app.paths)
    declining.ssh = world.app.ssh
    done = CliRunner().invoke(main, ["bake", "aws-gpu1"], obj=declining)
    assert done.exit_code == 0, done.output
    assert "aws-gpu1 reboots now: what runs on it ends." in declining.question
    assert "at most about $3.75/month" in declining.question
    assert "/home/me/.env" in declining.question
    assert done.stdout == "No image was created, and nothing was changed.\n"
    assert len(world.app.ssh.commands) == 1, "it was read, and not prepared"
    assert bake(world, "--name", "mine")[0] == 0
    done = CliRunner().invoke(main, ["image", "rm", "mine"], obj=declining)
    assert "mine" in declining.question
    assert "Boxes that were launched from them go on." in declining.question
    assert (done.stdout, len(world.images())) == ("Nothing was removed.\n", 1)


def test_structured_formats_need_yes(world):
    done = world("bake", "aws-gpu1", "-o", "json")
    assert done.exit_code == 2
    assert world("image", "rm", "x", "-o", "json").exit_code == 2


def test_an_image_has_no_volume_but_the_root_even_where_somebody_attached_one(world):
    client = world.sandbox.client()
    zone = client.describe_instances(InstanceIds=[world.box])["Reservations"][0]["Instances"][0]["Placement"]
    volume = client.create_volume(AvailabilityZone=zone["AvailabilityZone"], Size=3)["VolumeId"]
    client.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    client.attach_volume(VolumeId=volume, InstanceId=world.box, Device="/dev/sdz")
    code, _ = bake(world)
    assert code == 0
    (image,) = world.images()
    assert [one["DeviceName"] for one in image["BlockDeviceMappings"]] == ["/dev/sda1"]
    assert image["Name"].startswith("aws-bootstrap-aws-gpu1-20")
    assert "Supported EC2 instances: " in image["Description"]


def test_without_waiting_the_image_is_pending_and_next_says_where_to_look(world):
    code, baked = bake(world, "--no-wait")
    assert (code, baked["state"]) == (0, "pending")
    assert ["image", "ls", "--region", WEST] in [one["argv"][-4:] for one in baked["next"]]
    assert (baked["setup_version"], baked["warnings"]) == ("abc", [])


def test_a_setup_that_has_not_completed_is_warned_of(world):
    world.app.ssh.setup = '{"outcome": "failed"}'
    _, baked = bake(world, "--no-wait")
    assert [one["code"] for one in baked["warnings"]] == ["setup-incomplete"]


@pytest.mark.parametrize(
    ("answer", "code"), [("no-identity", "no-identity"), ("sudo: a password is required", "bake-failed")]
)
def test_a_box_that_cannot_be_prepared_is_not_copied(world, answer, code):
    world.app.ssh.prepared = answer
    exit_code, failed = bake(world)
    assert (exit_code, failed["error"]["code"], world.images()) == (1, code, [])


def test_a_name_is_taken_once(world):
    assert bake(world, "--name", "mine", "--no-wait")[0] == 0
    code, failed = bake(world, "--name", "mine")
    assert (code, failed["error"]["code"]) == (1, "image-exists")
    for bad in ("baked", "ami-1", "a:b", "x"):
        assert world("bake", "aws-gpu1", "--name", bad, "--yes").exit_code == 2


def test_a_box_that_does_not_run_or_has_no_alias_is_refused(world):
    sshconfig.remove(world.app.paths.ssh_config, [world.box])
    assert world.json("bake", world.box, "--yes")[1]["error"]["code"] == "no-alias"
    world.sandbox.client().stop_instances(InstanceIds=[world.box])
    assert world.json("bake", world.box, "--yes")[1]["error"]["code"] == "instance-stopped"
    assert world.json("bake", "aws-gpu7", "--yes")[1]["error"]["code"] == "not-found"


def test_an_image_whose_answer_was_lost_is_found_by_its_name(world):
    world.sandbox.fault(action="CreateImage", do={"reset_after": True}, times=1)
    code, baked = bake(world, "--no-wait")
    assert (code, len(world.images())) == (0, 1), baked
    assert baked["image_id"] == world.images()[0]["ImageId"]


def test_a_refused_image_leaves_nothing(world):
    denied = {"error": "UnauthorizedOperation", "message": "You are not authorized."}
    world.sandbox.fault(action="CreateImage", do=denied)
    code, failed = bake(world)
    assert (code, failed["image_id"], failed["error"]["resources"]) == (1, None, [])
    world.sandbox.clear_faults()


def test_a_box_that_does_not_come_back_is_the_half_that_is_missing(world, monkeypatch):
    world.app.ssh.is_back = False
    host = factories.host(alias="aws-gpu1", instance_id=world.box)
    assert bake_box.wait_until_back(world.app.ssh, host, had_data=False, seconds=0) == "Connection refused"
    world.app.ssh.is_back = True
    lost = bake_box.wait_until_back(world.app.ssh, host, had_data=True, seconds=0)
    assert lost == "/data is not mounted again"


# --- launch --image ----------------------------------------------------------------------------------------------


def dry_run(world: World, *words: str) -> tuple[int, dict]:
    return world.json("launch", "--dry-run", *words)


def test_a_launch_takes_the_newest_that_is_the_callers(world):
    assert bake(world, "--name", "old")[0] == 0
    assert bake(world, "--name", "new")[0] == 0
    newest = next(one for one in world.images() if one["Name"] == "new")
    others = [{"Key": "aws-bootstrap-owner", "Value": "somebody"}]
    code, planned = dry_run(world, "--image", "baked")
    assert (code, planned["ami_id"], planned["image"]) == (0, newest["ImageId"], "baked")
    assert [one["code"] for one in planned["warnings"] if one["code"] != "box-running"] == ["image-outdated"]
    world.sandbox.client().create_tags(Resources=[newest["ImageId"]], Tags=others)
    assert dry_run(world, "--image", "baked")[1]["ami_name"] == "old"
    assert dry_run(world, "--image", "new")[1]["ami_id"] == newest["ImageId"]
    assert dry_run(world, "--image", newest["ImageId"])[1]["ami_name"] == "new"


def test_a_region_without_the_image_is_skipped_with_its_reason(world):
    assert bake(world)[0] == 0
    code, planned = dry_run(world, "--image", "baked", "-r", WEST, "-r", "us-east-1")
    assert (code, planned["regions"]) == (0, [WEST])
    assert [one["error"] for one in planned["regions_failed"]] == ["You have baked no image in us-east-1."]


@pytest.mark.parametrize(("image", "message"), [("baked", "You have baked no image"), ("ami-0123456789", "no image")])
def test_an_image_that_does_not_exist_is_an_error(world, image, message):
    code, failed = dry_run(world, "--image", image)
    assert (code, failed["error"]["code"]) == (1, "not-found")
    assert message in failed["error"]["message"]
    if image == "baked":
        assert "bake ALIAS" in failed["error"]["hint"]


def test_an_image_that_is_pending_cannot_be_used_yet(world):
    client = world.sandbox.client()
    client.create_image(InstanceId=world.box, Name="mine")
    code, failed = dry_run(world, "--image", "mine")
    if code:  # it may have become available meanwhile
        assert failed["error"]["code"] == "image-unavailable"


def test_a_pattern_has_no_effect_beside_an_image(world):
    assert world("launch", "--image", "baked", "--ami-filter", "x*").exit_code == 2


# --- image ls, image rm ------------------------------------------------------------------------------------------


def test_images_of_others_are_shown_and_removed_by_name(world):
    assert bake(world, "--name", "theirs")[0] == 0
    (image,) = world.images()
    tags = [{"Key": "aws-bootstrap-owner", "Value": "somebody"}]
    world.sandbox.client().create_tags(Resources=[image["ImageId"]], Tags=tags)
    code, listed = world.json("image", "ls")
    (row,) = listed["images"]
    assert (code, row["owner"], row["yours"], listed["monthly_cost_usd"]) == (0, "somebody", False, 0)
    assert row["setup_files"] == "other"
    assert "somebody" in world("image", "ls").stdout
    assert "theirs" in world("image", "ls", "-o", "table").stdout
    assert world.json("image", "rm", "theirs", "--yes")[0] == 0
    assert world.images() == []
    assert "No image was baked" in world("image", "ls").stdout


def test_an_image_of_nobodys_is_never_removed(world):
    client = world.sandbox.client()
    image_id = client.create_image(InstanceId=world.box, Name="backup")["ImageId"]
    assert world.json("image", "rm", "backup", "--yes")[1]["error"]["code"] == "not-found"
    assert world.json("image", "rm", image_id, "--yes")[1]["error"]["code"] == "not-found"
    assert len(world.images()) == 1


def test_a_snapshot_that_cannot_be_deleted_still_bills(world):
    _, baked = bake(world)
    world.sandbox.fault(action="DeleteSnapshot", do={"error": "UnauthorizedOperation", "message": "No."})
    code, failed = world.json("image", "rm", baked["image_id"], "--yes")
    assert (code, failed["error"]["code"]) == (3, "image-not-removed")
    assert f"volume rm {baked['snapshot_id']}" in failed["removed"][0]["error"]
    world.sandbox.clear_faults()


def test_a_removal_whose_answers_are_lost_is_looked_up(world):
    _, baked = bake(world)
    for action in ("DeregisterImage", "DeleteSnapshot"):
        world.sandbox.fault(action=action, do={"reset_after": True}, times=1)
    code, removed = world.json("image", "rm", baked["image_id"], "--yes")
    assert (code, removed["removed"][0]["snapshots_deleted"]) == (0, [baked["snapshot_id"]])


def test_a_region_that_fails_may_have_the_image(world):
    world.sandbox.fault(region="us-east-1", action="DescribeImages", do={"error": "UnauthorizedOperation"})
    code, listed = world.json("image", "ls")
    assert (code, [one["region"] for one in listed["regions_failed"]]) == (3, ["us-east-1"])
    assert listed["monthly_cost_usd"] is None
    assert world.json("image", "rm", "x", "--yes")[1]["error"]["code"] == "region-failed"
    world.sandbox.clear_faults()


def test_the_files_of_the_setup_are_compared():
    assert [own_images.freshness(one, "a") for one in ("a", "b", None)] == ["current", "other", "unknown"]
