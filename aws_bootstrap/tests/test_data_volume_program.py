"""The whole life of a data volume, as users meet it: the program as a process of its own, boxes of the sandbox."""

from __future__ import annotations

import pytest

from aws_bootstrap.tests.matrix.worlds import caller


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
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [volume_id]
    assert volumes(program) == {}


def test_a_kept_volume_is_reported_and_moves_to_another_box_with_its_data(program):
    volume_id = program.json("launch", "--no-setup", "--ebs-storage", "8")[1]["ebs_volume"]["volume_id"]
    program.ssh("aws-gpu1", "echo precious > /data/file; sync")
    code, ended = program.json("terminate", "aws-gpu1", "--yes", "--keep-ebs")
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_kept"] == [volume_id]
    assert "aws-bootstrap-keep" in volumes(program)[volume_id]

    code, box = program.json("launch", "--no-setup", "--ebs-volume-id", volume_id)
    assert code == 0, box
    assert box["ebs_volume"]["mounted"], box
    assert program.ssh("aws-gpu1", "cat /data/file").stdout == "precious\n"
    ended = program.json("terminate", "aws-gpu1", "--yes")[1]["terminated"][0]
    assert ended["ebs_volumes_kept"] == [volume_id]
    assert "ebs_volumes_deleted" not in ended
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
            "owner": caller(program.sandbox),
            "yours": True,
        }
    ]


def test_the_users_own_volume_pins_the_zone_is_claimed_and_never_deleted(program):
    client = program.sandbox.client()
    mine = client.create_volume(AvailabilityZone="us-west-2c", Size=10, VolumeType="gp3")["VolumeId"]
    code, plan = program.json("launch", "--dry-run", "--ebs-volume-id", mine)
    assert code == 0
    assert plan["availability_zone"] == "us-west-2c"
    code, box = program.json("launch", "--no-setup", "--ebs-volume-id", mine)
    assert box["availability_zone"] == "us-west-2c"
    assert code == 3, "a volume that is not ours is not formatted unasked"
    assert box["error"]["code"] == "mount-failed", "a volume that is not ours is not formatted unasked"
    assert "setup aws-gpu1 --format-volume" in box["error"]["hint"]
    assert "created-by" not in volumes(program)[mine]
    assert "aws-bootstrap-keep" in volumes(program)[mine]

    disk = program.sandbox.home.volumes / mine / "disk"
    with disk.open("r+b") as file:
        file.seek(128 * 2**20)
        file.write(b"rows and rows")
    code, again = program.json("setup", "aws-gpu1", "--format-volume", "--yes")
    assert code == 3
    assert "there is data at byte 134217728" in again["error"]["message"]
    disk.unlink()
    code, again = program.json("setup", "aws-gpu1", "--format-volume", "--yes")
    assert code == 0, again
    assert again["ebs_volume"]["mounted"] is True, again
    ended = program.json("terminate", "aws-gpu1", "--yes")[1]["terminated"][0]
    assert ended["ebs_volumes_kept"] == [mine]
    assert mine in volumes(program)


def test_a_volume_that_cannot_be_made_leaves_a_usable_box(program):
    program.sandbox.fault(action="CreateVolume", do={"error": "VolumeLimitExceeded"})
    code, box = program.json("launch", "--ebs-storage", "8")
    assert code == 3
    assert box["setup"] == "completed"
    assert box["error"]["code"] == "mount-failed"
    assert program.ssh("aws-gpu1", "true").returncode == 0


def test_setup_again_mounts_what_was_not_attached(program):
    program.sandbox.fault(action="AttachVolume", do={"error": "UnauthorizedOperation"}, times=1)
    code, box = program.json("launch", "--ebs-storage", "8")
    assert code == 3
    assert box["ebs_volume"]["mounted"] is False
    code, again = program.json("setup", "aws-gpu1")
    assert code == 0, again
    assert again["ebs_volume"]["mounted"] is True, again
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
    assert code in (1, 2)
    assert failed["error"]["message"]
    assert not program.sandbox.log("RunInstances")
