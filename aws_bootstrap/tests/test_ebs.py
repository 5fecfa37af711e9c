"""Data volumes: the verbs against moto and Stubber, and their whole life in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from aws_bootstrap import ec2
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.models import Instance

BOX = Instance(
    "i-0aaa", "us-west-2", "running", "g4dn.xlarge", "spot", "us-west-2a", datetime(2026, 1, 1, tzinfo=UTC), "54.1.2.3"
)


@pytest.fixture
def aws():
    with mock_aws():
        yield boto3.client("ec2", "us-west-2")


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
        stub.add_client_error("attach_volume", "VolumeInUse", "taken")
        with pytest.raises(AwsError, match="taken"):
            ec2.attach_ebs_volume(aws, "vol-1", "i-1")


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
    assert code == 3 and box["error"]["code"] == "mount-failed", "a volume that is not ours is never formatted"
    assert "created-by" not in volumes(program)[mine] and "aws-bootstrap-keep" in volumes(program)[mine]
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
    assert code == 0 and again["ebs_volume"]["mounted"] is True
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
