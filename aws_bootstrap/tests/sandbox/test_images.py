"""Images and snapshots of the caller's own: what moto lets pass and EC2 does not."""

from __future__ import annotations

from aws_bootstrap import ec2 as verbs

from .conftest import launch, wait_state

OURS = [{"Key": "created-by", "Value": "aws-bootstrap-g4dn"}]


def make_snapshot(ec2, tags):
    volume_id = ec2.create_volume(AvailabilityZone="us-west-2a", Size=7)["VolumeId"]
    specification = [{"ResourceType": "snapshot", "Tags": tags}]
    return ec2.create_snapshot(VolumeId=volume_id, TagSpecifications=specification)["SnapshotId"]


def make_image(ec2, name, tags):
    instance = wait_state(ec2, launch(ec2)["InstanceId"], "running")
    specification = [{"ResourceType": "image", "Tags": tags}]
    made = ec2.create_image(InstanceId=instance["InstanceId"], Name=name, TagSpecifications=specification)
    return made["ImageId"]


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
