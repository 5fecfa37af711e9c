"""Data volumes: the verbs against moto and Stubber, and their whole life in the sandbox."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from click.testing import CliRunner

from aws_bootstrap import ec2
from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.ssh import Remote, VolumeUnformatted
from aws_bootstrap.sshconfig import add, hosts, read
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box

BOX = factories.instance(instance_id="i-0aaa")


def test_a_volume_is_made_encrypted_and_tagged_in_one_call(aws):
    with Stubber(aws) as stub:
        reply = {"VolumeId": "vol-1", "Size": 96, "State": "creating", "AvailabilityZone": "us-west-2a"}
        expected = {
            "AvailabilityZone": "us-west-2a",
            "Size": 96,
            "VolumeType": "gp3",
            "Encrypted": True,
            "ClientToken": "data-i-0aaa",
            "TagSpecifications": [
                {
                    "ResourceType": "volume",
                    "Tags": [
                        {"Key": "Name", "Value": "aws-bootstrap-data-i-0aaa"},
                        {"Key": "team", "Value": "vision"},
                        {"Key": "aws-bootstrap-instance", "Value": "i-0aaa"},
                        {"Key": "aws-bootstrap-format", "Value": "once"},
                        {"Key": "created-by", "Value": "aws-bootstrap-g4dn"},
                    ],
                }
            ],
        }
        stub.add_response("create_volume", reply, expected)
        assert ec2.create_ebs_volume(aws, BOX, 96, {"team": "vision", "Name": "other"}).size_gb == 96


def test_a_volume_in_use_is_refused_and_an_unknown_one_told(aws):
    made = ec2.create_ebs_volume(aws, BOX, 8)
    assert ec2.validate_ebs_volume(aws, made.volume_id).created_by_us
    image = aws.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    box = aws.run_instances(ImageId=image, MinCount=1, MaxCount=1, Placement={"AvailabilityZone": "us-west-2a"})
    ec2.attach_ebs_volume(aws, made.volume_id, box["Instances"][0]["InstanceId"])
    with pytest.raises(BootstrapError, match="in-use"):
        ec2.validate_ebs_volume(aws, made.volume_id)
    with pytest.raises(AwsError) as caught:
        ec2.validate_ebs_volume(aws, "vol-0123456789abcdef0")
    assert caught.value.code == "not-found"


def test_attaching_waits_until_ec2_is_ready(aws):
    with Stubber(aws) as stub:
        stub.add_client_error("attach_volume", "IncorrectState", "creating")
        stub.add_response(
            "attach_volume", {"State": "attaching"}, {"VolumeId": ANY, "InstanceId": ANY, "Device": "/dev/sdf"}
        )
        ec2.attach_ebs_volume(aws, "vol-1", "i-1")


@pytest.mark.parametrize(("owner", "attached"), [("i-1", True), ("i-2", False)])
def test_a_volume_in_use_by_this_very_instance_is_attached(aws, owner, attached):
    """The SDK asks again where an answer was lost, and is told that the volume is in use: by the first request."""
    held = {
        "VolumeId": "vol-1",
        "Size": 1,
        "State": "in-use",
        "AvailabilityZone": "us-west-2a",
        "Attachments": [{"InstanceId": owner}],
    }
    with Stubber(aws) as stub:
        stub.add_client_error("attach_volume", "VolumeInUse", "taken")
        stub.add_response("describe_volumes", {"Volumes": [held]}, {"VolumeIds": ["vol-1"]})
        with contextlib.nullcontext() if attached else pytest.raises(AwsError, match="taken"):
            ec2.attach_ebs_volume(aws, "vol-1", "i-1")


# --- the leave to format: a tag that is used up before it is used ------------------------------------------


def lose(client, operation: str, *, after: bool) -> None:
    """Have each of these calls fail without an answer: before it takes effect, or after."""

    def fail(**_):
        raise EndpointConnectionError(endpoint_url="https://ec2")

    client.meta.events.register(f"{'after' if after else 'before'}-call.ec2.{operation}", fail)


def test_the_leave_to_format_is_taken_once(aws):
    volume = ec2.create_ebs_volume(aws, BOX, 8).volume_id
    assert ec2.revoke_format_permission(aws, volume) is True
    assert "aws-bootstrap-format" not in {t["Key"] for t in aws.describe_volumes()["Volumes"][0]["Tags"]}
    assert ec2.revoke_format_permission(aws, volume) is False
    assert ec2.revoke_format_permission(aws, "vol-0123456789abcdef0") is False


@pytest.mark.parametrize("after", [False, True])
def test_a_removal_whose_answer_is_lost_is_no_leave(aws, after):
    volume = ec2.create_ebs_volume(aws, BOX, 8).volume_id
    lose(aws, "DeleteTags", after=after)
    with pytest.raises(AwsError):
        ec2.revoke_format_permission(aws, volume)
    assert ec2.validate_ebs_volume(aws, volume).format_once is not after


def described(**more) -> dict:
    tag = {"Key": "aws-bootstrap-format", "Value": "once"}
    raw = {"VolumeId": "vol-1", "Size": 8, "State": "in-use", "AvailabilityZone": "us-west-2a", "Tags": [tag]}
    return {"Volumes": [raw | more]}


def test_a_tag_that_stays_is_no_leave(aws):
    with Stubber(aws) as stub:
        stub.add_response("describe_volumes", described())
        stub.add_response("delete_tags", {})
        stub.add_response("describe_volumes", described())
        assert ec2.revoke_format_permission(aws, "vol-1", timeout=0.0) is False


@pytest.mark.parametrize(
    "more", [{"SnapshotId": "snap-1"}, {"Tags": []}, {"Tags": [{"Key": "aws-bootstrap-format", "Value": "no"}]}]
)
def test_a_volume_from_a_snapshot_or_without_the_tag_has_no_leave(aws, more):
    with Stubber(aws) as stub:
        stub.add_response("describe_volumes", described(**more))
        assert ec2.revoke_format_permission(aws, "vol-1") is False


class Boxes:
    """In place of ssh: a setup that works, and what each mount was allowed, and what tags the volume had then."""

    def __init__(self, client, *, bare: bool = True) -> None:
        self.client, self.bare = client, bare
        self.mounts: list[tuple[bool, bool]] = []
        self.mounted: list[str] = []

    def run(self, alias, command, **_):
        return Remote(0, ("@aws-bootstrap-report", "{}"))

    def mount_ebs_volume(self, alias, package, volume_id, *, format_if_empty):
        tags = self.client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Tags"]
        self.mounted.append(volume_id)
        self.mounts.append((format_if_empty, "aws-bootstrap-format" in {t["Key"] for t in tags}))
        if self.bare and not format_if_empty:
            raise VolumeUnformatted("/dev/nvme1n1 is empty and carries no filesystem", code="mount-failed")
        formatted, self.bare = self.bare, False
        return {"fstype": "ext4", "formatted": formatted}, ()


@pytest.fixture
def with_volume(app, cloud):
    """Our client, the instance and its new data volume, the alias aws-gpu1 for it."""
    client = cloud.ec2("us-west-2")
    instance_id = start_box(client)["InstanceId"]
    volume = ec2.create_ebs_volume(client, factories.instance(instance_id=instance_id), 8)
    add(app.paths.ssh_config, factories.host(instance_id=instance_id))
    app.ssh = Boxes(client)
    return client, volume.volume_id


def documents(done) -> dict:
    return json.loads(done.stdout)


def test_the_tag_is_gone_before_the_box_may_format(app, run, with_volume):
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 0 and app.ssh.mounts == [(True, False)]
    again = run("setup", "aws-gpu1")
    assert again.exit_code == 0 and "is not formatted" not in again.stderr
    assert app.ssh.mounts[1:] == [(False, False)], "a second mount has no leave"


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_removal_formats_nothing_and_the_hint_leads_on(app, run, with_volume, after):
    client, volume_id = with_volume
    lose(client, "DeleteTags", after=after)
    done = run("setup", "aws-gpu1")
    assert done.exit_code == 3 and app.ssh.mounts == [(False, not after)]
    assert "will not be formatted" in done.stderr
    assert "setup aws-gpu1 --format-volume" in done.stderr


def test_died_between_removal_and_mkfs_only_the_users_word_formats(app, run, cloud, with_volume):
    client, volume_id = with_volume
    assert ec2.revoke_format_permission(client, volume_id)
    failed = documents(run("setup", "aws-gpu1", "-o", "json"))["error"]
    assert failed["code"] == "mount-failed" and "setup aws-gpu1 --format-volume" in failed["hint"]
    sent = len(cloud.calls)
    for words in (["-o", "json"], []):
        refused = run("setup", "aws-gpu1", "--format-volume", *words)
        assert refused.exit_code == 2 and "--yes" in refused.stderr and len(cloud.calls) == sent
    assert app.ssh.mounts == [(False, False)]
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 0 and documents(done)["ebs_volume"]["mounted"] is True
    assert app.ssh.mounts[1:] == [(True, False)]


def test_the_users_word_uses_the_tag_up_as_well_or_nothing_is_formatted(app, run, cloud, with_volume):
    client, volume_id = with_volume
    cloud.deny("us-west-2", "DeleteTags")
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 3 and app.ssh.mounts == []


class AtATerminal(App):
    """A user at a terminal who says no; the questions are kept."""

    def require_answer(self, *, yes: bool) -> None:
        """Let the question be asked."""

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Decline."""
        self.asked = question
        return False


def test_the_question_names_id_and_size_and_no_is_no(app, with_volume):
    client, volume_id = with_volume
    declining = AtATerminal(paths=app.paths)
    declining.aws, declining.ssh = app.aws, app.ssh
    done = CliRunner().invoke(main, ["setup", "aws-gpu1", "--format-volume"], obj=declining)
    assert declining.asked.startswith(f"Format {volume_id}, 8 GB, the data volume of aws-gpu1?")
    assert done.exit_code == 0 and done.stdout == "Nothing was formatted or set up.\n" and app.ssh.mounts == []


class AgreesAfterAChange(AtATerminal):
    """A user at a terminal who says yes, after something has changed in the account."""

    def __init__(self, app: App, change: Callable[[], object]) -> None:
        super().__init__(paths=app.paths)
        self.aws, self.ssh = app.aws, app.ssh
        self._change = change

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Agree."""
        super().confirm(question, yes=yes)
        self._change()
        return True


def test_the_volume_that_is_formatted_is_the_one_that_was_asked_about(app, with_volume):
    client, asked_about = with_volume
    instance_id = hosts(read(app.paths.ssh_config))[0].instance_id

    def put_another_in_its_place() -> None:
        client.delete_tags(Resources=[asked_about], Tags=[{"Key": "aws-bootstrap-instance"}])
        make_volume(client, instance_id)

    agreeing = AgreesAfterAChange(app, put_another_in_its_place)
    done = CliRunner().invoke(main, ["setup", "aws-gpu1", "--format-volume"], obj=agreeing)
    assert done.exit_code == 0 and asked_about in agreeing.asked, done.stderr
    assert app.ssh.mounted == [asked_about] and app.ssh.mounts == [(True, False)]


def test_a_box_without_a_data_volume_has_none_to_format(app, run, with_volume):
    client, volume_id = with_volume
    client.delete_volume(VolumeId=volume_id)
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    assert done.exit_code == 1 and documents(done)["error"]["code"] == "not-found"


# --- in the sandbox --------------------------------------------------------------------------------------


def volumes(program) -> dict[str, dict[str, str]]:
    described = program.sandbox.client().describe_volumes(
        Filters=[{"Name": "tag-key", "Values": ["aws-bootstrap-instance"]}]
    )
    return {v["VolumeId"]: {t["Key"]: t["Value"] for t in v["Tags"]} for v in described["Volumes"]}


def test_a_new_volume_is_mounted_and_goes_with_its_box(program):
    code, box = program.json("launch", "--ebs-storage", "96")
    assert code == 0, box
    volume_id = box["ebs_volume"]["volume_id"]
    assert box["ebs_volume"] == {"volume_id": volume_id, "mount_point": "/data", "size_gb": 96, "mounted": True}
    assert volumes(program)[volume_id]["aws-bootstrap-instance"] == box["instance_id"]
    assert program.ssh("aws-gpu1", "echo kept > /data/file && cat /data/file").stdout == "kept\n"
    assert "aws-bootstrap-format" not in volumes(program)[volume_id], "it is formatted once in its life"
    assert ",nofail," in program.ssh("aws-gpu1", "grep ' /data ext4 ' /etc/fstab").stdout
    seen = program.json("status", "-r", "us-west-2")[1]["instances"][0]["ebs_volumes"]
    assert seen == [{"volume_id": volume_id, "size_gb": 96, "mount_point": "/data", "state": "in-use"}]
    code, ended = program.json("terminate", "aws-gpu1", "--yes")
    assert code == 0 and ended["terminated"][0]["ebs_volumes_deleted"] == [volume_id] and volumes(program) == {}


def test_a_kept_volume_is_told_and_moves_to_another_box_with_its_data(program):
    volume_id = program.json("launch", "--no-setup", "--ebs-storage", "8")[1]["ebs_volume"]["volume_id"]
    program.ssh("aws-gpu1", "echo precious > /data/file; sync")
    code, ended = program.json("terminate", "aws-gpu1", "--yes", "--keep-ebs")
    assert code == 0 and ended["terminated"][0]["ebs_volumes_kept"] == [volume_id]
    assert "aws-bootstrap-keep" in volumes(program)[volume_id]

    code, box = program.json("launch", "--no-setup", "--ebs-volume-id", volume_id)
    assert code == 0 and box["ebs_volume"]["mounted"], box
    assert program.ssh("aws-gpu1", "cat /data/file").stdout == "precious\n"
    ended = program.json("terminate", "aws-gpu1", "--yes")[1]["terminated"][0]
    assert ended["ebs_volumes_kept"] == [volume_id] and "ebs_volumes_deleted" not in ended
    assert volume_id in volumes(program)


def test_an_orphan_is_shown_with_its_cost(program, wait_for):
    box = program.json("launch", "--no-setup", "--ebs-storage", "150")[1]
    program.sandbox.interrupt(box["instance_id"])

    def orphan():
        return program.json("status", "-r", "us-west-2")[1]["orphan_volumes"]

    wait_for(orphan)
    assert orphan() == [
        {
            "volume_id": box["ebs_volume"]["volume_id"],
            "region": "us-west-2",
            "size_gb": 150,
            "monthly_cost_usd": 12.0,
            "last_instance_id": box["instance_id"],
        }
    ]


def test_the_users_own_volume_pins_the_zone_is_claimed_and_never_deleted(program):
    client = program.sandbox.client()
    mine = client.create_volume(AvailabilityZone="us-west-2c", Size=10, VolumeType="gp3")["VolumeId"]
    code, plan = program.json("launch", "--dry-run", "--ebs-volume-id", mine)
    assert code == 0 and plan["availability_zone"] == "us-west-2c"
    code, box = program.json("launch", "--no-setup", "--ebs-volume-id", mine)
    assert box["availability_zone"] == "us-west-2c"
    assert code == 3 and box["error"]["code"] == "mount-failed", "a volume that is not ours is not formatted unasked"
    assert "setup aws-gpu1 --format-volume" in box["error"]["hint"]
    assert "created-by" not in volumes(program)[mine] and "aws-bootstrap-keep" in volumes(program)[mine]

    disk = program.sandbox.home.volumes / mine / "disk"
    with disk.open("r+b") as file:
        file.seek(128 * 2**20)
        file.write(b"rows and rows")
    code, again = program.json("setup", "aws-gpu1", "--format-volume", "--yes")
    assert code == 3 and "there is data at byte 134217728" in again["error"]["message"]
    disk.unlink()
    code, again = program.json("setup", "aws-gpu1", "--format-volume", "--yes")
    assert code == 0 and again["ebs_volume"]["mounted"] is True, again
    ended = program.json("terminate", "aws-gpu1", "--yes")[1]["terminated"][0]
    assert ended["ebs_volumes_kept"] == [mine] and mine in volumes(program)


def test_a_volume_that_cannot_be_made_leaves_a_usable_box(program):
    program.sandbox.fault(action="CreateVolume", do={"error": "VolumeLimitExceeded"})
    code, box = program.json("launch", "--ebs-storage", "8")
    assert code == 3 and box["setup"] == "completed" and box["error"]["code"] == "mount-failed"
    assert program.ssh("aws-gpu1", "true").returncode == 0


def test_setup_again_mounts_what_was_not_attached(program):
    program.sandbox.fault(action="AttachVolume", do={"error": "UnauthorizedOperation"}, times=1)
    code, box = program.json("launch", "--ebs-storage", "8")
    assert code == 3 and box["ebs_volume"]["mounted"] is False
    code, again = program.json("setup", "aws-gpu1")
    assert code == 0 and again["ebs_volume"]["mounted"] is True, again
    assert program.ssh("aws-gpu1", "touch /data/x").returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--ebs-storage", "8", "--ebs-volume-id", "vol-0123456789abcdef0"],
        ["--ebs-volume-id", "vol-0123456789abcdef0"],
        ["--ebs-volume-id", "vol-x"],
        ["--ebs-storage", "0"],
        ["--ebs-volume-id", "vol-0123456789abcdef0", "-r", "us-west-2", "-r", "us-east-1"],
    ],
    ids=" ".join,
)
def test_bad_volumes_create_nothing(program, words):
    code, failed = program.json("launch", *words)
    assert code in (1, 2) and failed["error"]["message"] and not program.sandbox.log("RunInstances")
