"""Images and snapshots of the caller's own: what moto lets pass and EC2 does not."""

from __future__ import annotations

import shutil

import pytest

from aws_bootstrap import ec2 as verbs

from .conftest import eventually, launch, refused, wait_state
from .test_boxes import box

OURS = [{"Key": "created-by", "Value": "aws-bootstrap-g4dn"}]


def make_snapshot(ec2, tags):
    volume_id = ec2.create_volume(AvailabilityZone="us-west-2a", Size=7)["VolumeId"]
    specification = [{"ResourceType": "snapshot", "Tags": tags}]
    snapshot_id = ec2.create_snapshot(VolumeId=volume_id, TagSpecifications=specification)["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
    return snapshot_id


def make_image(ec2, name, tags):
    instance = wait_state(ec2, launch(ec2)["InstanceId"], "running")
    specification = [{"ResourceType": "image", "Tags": tags}]
    made = ec2.create_image(InstanceId=instance["InstanceId"], Name=name, TagSpecifications=specification)
    assert eventually(lambda: image_state(ec2, made["ImageId"]) == "available")
    return made["ImageId"]


def image_state(ec2, image_id):
    return ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"]


def test_snapshots_are_those_of_the_owner(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html (Owner)"""
    public = {snapshot["SnapshotId"]: snapshot for snapshot in ec2.describe_snapshots()["Snapshots"]}
    assert public, "those behind the public images"
    ours, other = make_snapshot(ec2, OURS), make_snapshot(ec2, [{"Key": "Name", "Value": "backup"}])
    found = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {snapshot["SnapshotId"] for snapshot in found} == {ours, other}
    ec2.create_tags(Resources=[next(iter(public))], Tags=OURS)
    (snapshot,) = verbs.find_snapshots(ec2)
    assert (snapshot.snapshot_id, snapshot.size_gb, snapshot.state, snapshot.tier) == (ours, 7, "completed", "standard")
    assert snapshot.created is not None


def test_an_image_of_a_box_has_a_snapshot_of_its_root_volume(ec2):
    """moto's are in us-east-1a, a zone that other regions lack, and have 15 GB."""
    image_id = make_image(ec2, "mine", OURS)
    make_image(ec2, "backup", [{"Key": "Name", "Value": "backup"}])
    (image,) = verbs.find_own_images(ec2)
    assert (image.image_id, image.name, image.state) == (image_id, "mine", "available")
    assert image.created is not None
    (behind,) = image.snapshots
    (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"], SnapshotIds=[behind.snapshot_id])["Snapshots"]
    (root,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [_source(ec2, image_id)]}])[
        "Volumes"
    ]
    assert behind.size_gb == snapshot["VolumeSize"] == root["Size"]


def _source(ec2, image_id):
    return ec2.describe_images(ImageIds=[image_id])["Images"][0]["SourceInstanceId"]


def test_an_image_is_pending_and_cannot_be_launched_until_it_is_available(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/creating-an-ami-ebs.html"""
    instance_id = wait_state(ec2, launch(ec2)["InstanceId"], "running")["InstanceId"]
    image_id = ec2.create_image(InstanceId=instance_id, Name="mine", NoReboot=True)["ImageId"]
    if image_state(ec2, image_id) == "pending":
        assert refused(launch, client=ec2, ImageId=image_id) == "InvalidAMIID.Unavailable"
    assert eventually(lambda: image_state(ec2, image_id) == "available")
    assert launch(ec2, ImageId=image_id)["ImageId"] == image_id
    assert refused(ec2.create_image, InstanceId=instance_id, Name="mine") == "InvalidAMIName.Duplicate"
    assert refused(ec2.create_image, InstanceId=instance_id, Name="a:b") == "InvalidAMIName.Malformed"


def test_every_attached_volume_is_copied_but_those_that_are_mapped_to_no_device(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html (BlockDeviceMapping)"""
    instance = wait_state(ec2, launch(ec2)["InstanceId"], "running")
    zone = instance["Placement"]["AvailabilityZone"]
    for device, size in (("/dev/sdf", 3), ("/dev/sdg", 4)):
        volume_id = ec2.create_volume(AvailabilityZone=zone, Size=size)["VolumeId"]
        ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
        ec2.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device=device)
    made = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name="mine",
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "NoDevice": ""}],
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": OURS}],
    )
    (image,) = ec2.describe_images(ImageIds=[made["ImageId"]])["Images"]
    sizes = {one["DeviceName"]: one["Ebs"]["VolumeSize"] for one in image["BlockDeviceMappings"]}
    assert sizes == {image["RootDeviceName"]: instance_root_gb(ec2, instance), "/dev/sdg": 4}
    assert len(verbs.find_snapshots(ec2)) == 2


def instance_root_gb(ec2, instance):
    (root,) = [one for one in instance["BlockDeviceMappings"] if one["DeviceName"] == instance["RootDeviceName"]]
    return ec2.describe_volumes(VolumeIds=[root["Ebs"]["VolumeId"]])["Volumes"][0]["Size"]


def test_a_snapshot_behind_an_image_cannot_be_deleted_before_the_image(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html"""
    image_id = make_image(ec2, "mine", OURS)
    (image,) = verbs.find_own_images(ec2)
    (behind,) = image.snapshots
    assert refused(ec2.delete_snapshot, SnapshotId=behind.snapshot_id) == "InvalidSnapshot.InUse"
    verbs.deregister_image(ec2, image_id)
    verbs.deregister_image(ec2, image_id)
    assert verbs.find_deregistration(ec2, image_id) is True
    verbs.delete_snapshot(ec2, behind.snapshot_id)
    verbs.delete_snapshot(ec2, behind.snapshot_id)
    assert verbs.find_snapshot_deletion(ec2, behind.snapshot_id) is True


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client")
def test_a_box_from_an_image_has_a_copy_of_the_disk_and_another_identity(boxes, tmp_path):
    first = box(boxes, tmp_path)
    dmi = "cat $SANDBOX_ROOT/sys/devices/virtual/dmi/id/board_asset_tag"
    assert first.said(dmi) == first.instance_id
    first.said("echo kept >~/kept; sudo mkdir -p /opt/mine; sudo touch /run/before")
    image_id = make_image_of(first)
    assert eventually(lambda: first.console().count("boots (") == 2), "it reboots"
    assert first.wait().ssh("sudo test -e /run/before").returncode == 1
    second = box(boxes, tmp_path, ImageId=image_id)
    assert second.said("cat ~/kept") == "kept"
    assert "mine" in second.said("sudo ls /opt")
    assert second.said(dmi) == second.instance_id
    assert second.said("sudo cat /etc/hostname") != first.said("sudo cat /etc/hostname")
    first.client.deregister_image(ImageId=image_id)
    assert not (boxes.home.images / image_id).exists()


def make_image_of(login):
    made = login.client.create_image(InstanceId=login.instance_id, Name=f"of-{login.instance_id}")
    assert eventually(lambda: image_state(login.client, made["ImageId"]) == "available")
    return made["ImageId"]
