"""The data volume of a launch: made or taken, attached, formatted only with leave, mounted, and told of.

AWS answers in this process, and the boxes are pretended.
"""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.config import TAG_FORMAT, TAG_INSTANCE, TAG_KEEP, TAG_SETTINGS
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh import VolumeUnformatted
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import Boxes, make_volume, start_box
from aws_bootstrap.workflows import data_volume

EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture
def boxes(app, cloud) -> Boxes:
    """Boxes that let everybody in, and mount what they are asked to."""
    app.ssh = Boxes()
    return app.ssh


def volumes(cloud) -> list[dict]:
    return cloud.ec2(WEST).describe_volumes(Filters=[{"Name": "tag-key", "Values": [TAG_INSTANCE]}])["Volumes"]


def tags(volume) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}


def tag(client, volume_id: str, **named: str) -> None:
    client.create_tags(Resources=[volume_id], Tags=[{"Key": k.replace("_", "-"), "Value": v} for k, v in named.items()])


def sent(cloud) -> set[str]:
    """The operations on volumes that were asked for."""
    return {operation for _, operation in cloud.calls if operation.endswith(("Volume", "Tags"))}


# --- what excludes one another ---------------------------------------------------------------------------


def test_a_new_volume_and_an_existing_one_exclude_each_other(launch, cloud):
    code, failed = launch("--ebs-storage", "5", "--ebs-volume-id", "vol-0123456789abcdef0")
    assert (code, failed["error"]["code"]) == (2, "usage")
    assert cloud.calls == []
    assert "--ebs-storage" in failed["error"]["message"]
    assert "--ebs-volume-id" in failed["error"]["message"]


def test_a_volume_is_in_one_region(launch, cloud, own_volume):
    cloud.calls.clear()
    code, failed = launch("--ebs-volume-id", own_volume, "-r", WEST, "-r", EAST)
    assert (code, failed["error"]["code"]) == (2, "usage")
    assert cloud.calls == []
    assert failed["error"]["hint"] == "Pass only the --region of the volume."


# --- a new volume ----------------------------------------------------------------------------------------


def test_a_new_volume_is_made_attached_formatted_and_mounted(launch, cloud, boxes):
    code, box = launch("--ebs-storage", "5", "--tag", "team=blue")
    (volume,) = volumes(cloud)
    assert (code, box["warnings"]) == (0, [])
    assert box["ebs_volume"] == {
        "volume_id": volume["VolumeId"],
        "mount_point": "/data",
        "size_gb": 5,
        "mounted": True,
    }
    assert [attachment["InstanceId"] for attachment in volume["Attachments"]] == [box["instance_id"]]
    assert boxes.mounts == [(box["ssh_alias"], volume["VolumeId"], True)]
    told = tags(volume)
    assert (told[TAG_INSTANCE], told["team"]) == (box["instance_id"], "blue")
    assert TAG_FORMAT not in told
    assert TAG_KEEP not in told


def test_a_launch_without_a_volume_makes_and_mounts_none(launch, cloud, boxes):
    code, box = launch()
    assert code == 0
    assert "ebs_volume" not in box
    assert boxes.mounts == []
    assert not {"CreateVolume", "AttachVolume"} & sent(cloud)


@pytest.mark.parametrize("operation", ["CreateVolume", "AttachVolume"])
def test_what_ec2_refuses_is_a_warning_and_ends_the_work_on_the_volume(launch, cloud, boxes, operation):
    cloud.deny(WEST, operation)
    code, box = launch("--ebs-storage", "5")
    refused = "You are not authorized to perform this operation."
    assert (code, box["error"]["code"]) == (3, "mount-failed")
    assert boxes.mounts == []
    assert box["error"]["message"] == f"The data volume is not mounted: {refused}"
    (warning,) = box["warnings"]
    assert (warning["code"], warning["region"]) == ("access-denied", WEST)
    assert refused in warning["message"]
    if operation == "AttachVolume":
        assert box["ebs_volume"]["mounted"] is False
    else:
        assert "AttachVolume" not in sent(cloud)
        assert "ebs_volume" not in box


def test_a_volume_that_may_have_been_created_has_a_command_to_look_for_it(launch, app, cloud, boxes):
    app.lookup_seconds = 0
    cloud.faults.lose("CreateVolume")
    cloud.deny(WEST, "DescribeVolumes")
    code, box = launch("--ebs-storage", "5")
    assert code == 3
    assert boxes.mounts == []
    assert box["error"]["hint"].splitlines()[0] == f"Check: aws-bootstrap status --region {WEST}"
    assert [(warning["code"], warning["region"]) for warning in box["warnings"]] == [("unreachable", WEST)]


# --- the user's own volume -------------------------------------------------------------------------------


def test_the_users_volume_is_tagged_attached_and_mounted_as_it_is(launch, cloud, boxes, own_volume):
    code, box = launch("--ebs-volume-id", own_volume, "-r", WEST)
    (volume,) = volumes(cloud)
    assert code == 0
    assert box["ebs_volume"] == {
        "volume_id": own_volume,
        "mount_point": "/data",
        "size_gb": 3,
        "mounted": True,
    }
    marks = {key: value for key, value in tags(volume).items() if not key.startswith(TAG_SETTINGS)}
    assert marks == {TAG_INSTANCE: box["instance_id"], TAG_KEEP: "true"}
    assert "--no-setup" in tags(volume)[TAG_SETTINGS]
    assert [attachment["InstanceId"] for attachment in volume["Attachments"]] == [box["instance_id"]]
    assert boxes.mounts == [(box["ssh_alias"], own_volume, False)]
    assert "CreateVolume" not in {operation for _, operation in cloud.calls[1:]}


@pytest.mark.parametrize("now", ["of-another", "not-kept", "gone"])
def test_tags_that_no_look_confirms_are_not_taken_for_set(launch, app, cloud, boxes, own_volume, now):
    """A volume that is not claimed is not attached: the end of the box might delete it, or status not name it."""
    client = cloud.ec2(WEST)

    def meanwhile():
        if now == "gone":
            client.delete_volume(VolumeId=own_volume)
            return
        reservations = client.describe_instances()["Reservations"]
        instance_id = reservations[0]["Instances"][0]["InstanceId"]
        named = {TAG_INSTANCE: instance_id} if now == "not-kept" else {TAG_INSTANCE: "i-0bbb", TAG_KEEP: "true"}
        tag(client, own_volume, **named)

    app.lookup_seconds = 0
    cloud.faults.on("CreateTags", meanwhile)
    cloud.faults.drop("CreateTags", skip=0 if now == "gone" else 1)
    code, box = launch("--ebs-volume-id", own_volume)
    assert (code, box["error"]["code"]) == (3, "mount-failed")
    assert boxes.mounts == []
    assert [warning["code"] for warning in box["warnings"]] == ["unreachable"]
    assert "AttachVolume" not in sent(cloud)


def test_a_claim_whose_answer_is_lost_is_looked_up(launch, cloud, boxes, own_volume):
    cloud.faults.lose("CreateTags")
    code, box = launch("--ebs-volume-id", own_volume)
    assert code == 0
    assert box["ebs_volume"]["mounted"] is True


@pytest.mark.parametrize("existing", [False, True], ids=["new", "own"])
def test_a_dry_run_tells_what_is_done_about_the_volume(launch, own_volume, existing):
    words = ("--ebs-volume-id", own_volume) if existing else ("--ebs-storage", "5")
    code, planned = launch("--dry-run", *words)
    steps = [
        f"Claim the data volume {own_volume}" if existing else "Create a data volume of 5 GB",
        "Mount the data volume at /data",
    ]
    assert code == 0
    assert [step for step in planned["steps"] if "/data" in step or step in steps] == steps


# --- the mount -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        (SshError("No disks.", code="mount-failed", hint="Look."), "Look.\nContinue: aws-bootstrap setup aws-gpu1\n"),
        (
            VolumeUnformatted("No disks.", code="mount-failed"),
            "Format it: aws-bootstrap setup aws-gpu1 --format-volume\n",
        ),
    ],
    ids=["failed", "unformatted"],
)
def test_a_launch_whose_volume_is_not_mounted_tells_what_to_do(launch, boxes, own_volume, refusal, hint):
    boxes.refusal = refusal
    code, box = launch("--ebs-volume-id", own_volume)
    assert (code, box["ebs_volume"]["mounted"]) == (3, False)
    assert (box["error"]["code"], box["error"]["message"]) == (
        "mount-failed",
        "The data volume is not mounted: No disks.",
    )
    assert box["error"]["hint"].startswith(hint)
    assert box["error"]["hint"].count("aws-bootstrap setup") == 1
    (warning,) = box["warnings"]
    assert (warning["code"], warning["region"]) == ("mount-failed", WEST)


def test_what_is_sent_to_the_box_are_the_scripts_of_a_mount():
    with tarfile.open(fileobj=io.BytesIO(data_volume.package())) as tar:
        sizes = {entry.name: entry.size for entry in tar}
    assert sizes.keys() == {"mount_data_volume.sh", "empty_disk.py", "fstab.py"}
    assert all(sizes.values())


# --- the leave to format, on the volume's own tag --------------------------------------------------------


@pytest.fixture
def fresh(app, cloud) -> str:
    """A volume that may be formatted once, of a box with an alias in the east."""
    client = cloud.ec2(EAST)
    instance_id = start_box(client)["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=instance_id, region=EAST))
    volume_id = make_volume(client, instance_id)
    tag(client, volume_id, **{TAG_FORMAT: "once"})
    return volume_id


def leave(cloud, volume_id: str) -> bool:
    """Whether the volume's tag still lets somebody format it."""
    (volume,) = cloud.ec2(EAST).describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return TAG_FORMAT in tags(volume)


@pytest.mark.parametrize("words", [(), ("--format-volume", "--yes")], ids=["tag", "user"])
def test_the_leave_is_used_up_before_a_volume_is_formatted(run, cloud, boxes, fresh, words):
    done = run("setup", "aws-gpu1", *words, "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["warnings"] == []
    assert boxes.mounts == [("aws-gpu1", fresh, True)]
    assert not leave(cloud, fresh)


def take_away(cloud, volume_id: str) -> None:
    """Somebody else removes the tag just before this command looks whether it is there."""
    client = cloud.ec2(EAST)
    removed = {"Resources": [volume_id], "Tags": [{"Key": TAG_FORMAT}]}
    cloud.faults.on("AttachVolume", lambda: client.delete_tags(**removed))


@pytest.mark.parametrize("obstacle", ["taken", "denied"])
def test_a_leave_that_cannot_be_used_up_formats_nothing(run, cloud, boxes, fresh, obstacle):
    if obstacle == "taken":
        take_away(cloud, fresh)
    else:
        cloud.deny(EAST, "DeleteTags")
    done = run("setup", "aws-gpu1", "-o", "json")
    (warning,) = json.loads(done.stdout)["warnings"]
    assert done.exit_code == 0
    assert boxes.mounts == [("aws-gpu1", fresh, False)]
    assert (warning["code"], warning["region"]) == ("volume-not-formatted", EAST)
    why = "another command" if obstacle == "taken" else "not authorized"
    assert fresh in warning["message"]
    assert why in warning["message"]


def test_by_the_users_word_a_volume_is_not_formatted_while_its_tag_may_be_used_by_others(run, cloud, boxes, fresh):
    take_away(cloud, fresh)
    done = run("setup", "aws-gpu1", "--format-volume", "--yes", "-o", "json")
    failed = json.loads(done.stdout)
    assert done.exit_code == 3
    assert boxes.mounts == []
    assert failed["error"]["message"].endswith(
        f"Could not remove the tag {TAG_FORMAT} of {fresh}. Nothing was formatted."
    )


def test_what_the_box_notes_of_the_mount_is_a_warning(run, boxes, fresh):
    boxes.notes = ("it was full of sand",)
    done = run("setup", "aws-gpu1", "-o", "json")
    assert json.loads(done.stdout)["warnings"] == [
        {"code": "volume-note", "message": f"Data volume {fresh}: it was full of sand", "region": EAST}
    ]
