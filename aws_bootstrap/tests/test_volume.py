"""`volume`: in the sandbox with its boxes and disks, and in this process against moto for what fails."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap.errors import SshError
from aws_bootstrap.models import RemovedDisk
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests.cloud import make_snapshot, make_volume
from aws_bootstrap.views import volume as views

WEST, EAST = "us-west-2", "us-east-1"
NOBODY = "vol-0123456789abcdef0"


def tags_of(client, resource_id: str) -> dict[str, str]:
    found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource_id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def failed(done) -> tuple[int, str, str]:
    error = json.loads(done.stdout)["error"]
    return done.exit_code, error["code"], error["message"]


# --- with the real program ---------------------------------------------------------------------------------------


def test_data_crosses_zones_and_regions_by_a_snapshot(program):
    box = program.json("launch", "--no-setup", "--ebs-storage", "5")[1]
    assert program.ssh("aws-gpu1", "echo precious > /data/file").returncode == 0
    code, made = program.json("volume", "snapshot", "aws-gpu1")
    assert (code, made["state"], made["monthly_cost_usd"]) == (0, "pending", 0.25)
    assert [one["code"] for one in made["warnings"]] == []
    source = box["availability_zone"]
    zone = "us-west-2b" if source != "us-west-2b" else "us-west-2a"
    code, volume = program.json("volume", "restore", made["snapshot_id"], "--zone", zone)
    assert code == 0, volume
    assert (volume["availability_zone"], volume["size_gb"]) == (zone, 5)
    tags = tags_of(program.sandbox.client(), volume["volume_id"])
    assert "aws-bootstrap-format" not in tags, "a restored volume is never formatted"
    assert (tags["aws-bootstrap-keep"], tags["aws-bootstrap-instance"]) == ("true", "")
    assert tags["aws-bootstrap-owner"]
    launched = program.json("launch", "--no-setup", "--ebs-volume-id", volume["volume_id"])[1]
    assert launched["availability_zone"] == zone
    assert program.ssh("aws-gpu2", "cat /data/file").stdout == "precious\n"

    code, abroad = program.json("volume", "restore", made["snapshot_id"], "--zone", "eu-west-1a")
    assert code == 0, abroad
    assert abroad["copied_snapshot_id"] != made["snapshot_id"]
    listed = program.json("volume", "ls")[1]
    uses = {row["volume_id"]: row["use"] for row in listed["volumes"]}
    assert uses[abroad["volume_id"]] == "kept"
    assert uses[volume["volume_id"]] == "attached"
    assert {row["snapshot_id"] for row in listed["snapshots"]} == {made["snapshot_id"], abroad["copied_snapshot_id"]}
    assert listed["monthly_cost_usd"] == 1.7
    orphans = program.json("status", "-r", "eu-west-1")[1]["orphan_volumes"]
    assert [(one["volume_id"], one["kept"], one["last_instance_id"]) for one in orphans] == [
        (abroad["volume_id"], True, None)
    ]


def test_a_new_volume_is_formatted_at_its_first_use_and_grows_online(program):
    volume = program.json("volume", "create", "--size", "4")[1]
    assert program.json("launch", "--no-setup", "--ebs-volume-id", volume["volume_id"])[0] == 0
    assert program.ssh("aws-gpu1", "echo kept > /data/file").returncode == 0
    code, grown = program.json("volume", "grow", "aws-gpu1", "--size", "6", "--yes")
    assert code == 0, grown
    assert (grown["previous_size_gb"], grown["size_gb"], grown["filesystem"]) == (4, 6, "grown")
    assert program.ssh("aws-gpu1", "cat /data/file").stdout == "kept\n"
    sizes = program.ssh("aws-gpu1", "lsblk -b -d -n -o SIZE,SERIAL").stdout.split("\n")
    assert any(f"{6 * 1024**3} {volume['volume_id'].replace('-', '')}" in " ".join(line.split()) for line in sizes)
    code, again = program.json("volume", "grow", volume["volume_id"], "--size", "7", "--yes")
    assert (code, again["error"]["code"]) == (1, "volume-busy")
    code, refused = program.json("volume", "rm", volume["volume_id"], "--yes")
    assert (code, refused["error"]["code"]) == (1, "volume-in-use")
    assert program.json("terminate", "aws-gpu1", "--yes")[0] == 0
    code, removed = program.json("volume", "rm", volume["volume_id"], "--yes")
    assert (code, removed["removed"][0]["deleted"]) == (0, True)


def test_a_volume_of_another_region_names_how_its_data_gets_here(program):
    volume = program.json("volume", "create", "--size", "1", "-r", "eu-west-1")[1]["volume_id"]
    code, document = program.json("launch", "--ebs-volume-id", volume, "-r", WEST)
    assert code == 1
    assert f"volume snapshot {volume}" in document["error"]["hint"]
    assert "volume restore SNAPSHOT --zone ZONE" in document["error"]["hint"]
    assert [one["do"] for one in document["error"]["next"]] == ["launch", "volume-snapshot"]


# --- in this process ---------------------------------------------------------------------------------------------


def test_a_list_has_the_use_and_the_price_of_each(run, cloud, box):
    client = cloud.ec2(WEST)
    attached = make_volume(client, box(), size=10)
    client.attach_volume(
        VolumeId=attached,
        InstanceId=client.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"],
        Device="/dev/sdf",
    )
    kept = make_volume(client, "i-0123456789abcdef0", kept=True)
    orphan = make_volume(client, "i-0123456789abcdef0", owner="somebody")
    snapshot = make_snapshot(client)
    document = json.loads(run("volume", "ls", "-r", WEST, "-o", "json").stdout)
    rows = {row["volume_id"]: (row["use"], row["ssh_alias"], row["yours"]) for row in document["volumes"]}
    assert rows == {
        attached: ("attached", "aws-gpu1", True),
        kept: ("kept", None, True),
        orphan: ("orphan", None, False),
    }
    assert [row["snapshot_id"] for row in document["snapshots"]] == [snapshot]
    purposes = [(one["do"], one["argv"][-1]) for one in document["next"]]
    assert purposes == [("launch", kept), ("volume-restore", snapshot)]
    text = run("volume", "ls", "-r", WEST).stdout
    assert "attached to aws-gpu1" in text
    assert "In all: about $" in text
    assert "owner: somebody" in text


def test_a_region_that_fails_is_unknown(run, cloud):
    cloud.deny(EAST)
    done = run("volume", "ls", "-r", WEST, "-r", EAST, "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["monthly_cost_usd"]) == (3, None)
    assert "unknown, since not every region" not in run("volume", "ls", "-r", WEST, "-r", EAST).stdout


def test_what_this_tool_did_not_create_is_never_deleted(run, cloud, own_volume):
    client = cloud.ec2(WEST)
    client.create_tags(Resources=[own_volume], Tags=[{"Key": "aws-bootstrap-instance", "Value": "i-1"}])
    foreign = make_snapshot(client, ours=False)
    for name in (own_volume, foreign):
        code, error, _ = failed(run("volume", "rm", name, "--yes", "-o", "json"))
        assert (code, error) == (1, "not-created-by-us")
    assert "DeleteSnapshot" not in {name for _, name in cloud.calls}
    assert client.describe_volumes(VolumeIds=[own_volume])["Volumes"]


def test_some_of_several_that_cannot_be_deleted_are_named(run, cloud):
    client = cloud.ec2(WEST)
    first, second = make_volume(client, ""), make_snapshot(client)
    cloud.fail("DeleteSnapshot", "InvalidSnapshot.InUse")
    done = run("volume", "rm", first, second, "--yes", "-o", "json")
    code, error, message = failed(done)
    assert (code, error) == (3, "volume-not-deleted")
    assert f"Could not delete {second}" in message
    assert [one["deleted"] for one in json.loads(done.stdout)["removed"]] == [True, False]
    assert "still exists" not in run("volume", "rm", second, "--yes").stdout


def test_a_lost_answer_is_looked_up(run, app, cloud, box):
    app.lookup_seconds = 0.0
    volume = make_volume(cloud.ec2(WEST), box())
    cloud.faults.lose("CreateSnapshot")
    done = run("volume", "snapshot", volume, "-o", "json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)["snapshot_id"]
    (found,) = cloud.ec2(WEST).describe_snapshots(SnapshotIds=[made])["Snapshots"]
    assert found["VolumeId"] == volume
    everything = cloud.ec2(WEST).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [one["SnapshotId"] for one in everything if one["VolumeId"] == volume] == [made], "it is sent once"


def test_an_interrupted_restore_names_what_exists(run, app, cloud):
    app.lookup_seconds = 0.0
    made = make_snapshot(cloud.ec2(WEST))
    cloud.faults.interrupt("DescribeVolumes")
    done = run("volume", "restore", made, "--zone", "us-west-2a", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (130, "interrupted")
    assert [one["type"] for one in error["resources"]] == ["volume"]


def attached(cloud, box, size: int = 8) -> str:
    instance = box()
    client = cloud.ec2(WEST)
    volume: str = make_volume(client, instance, size=size)
    client.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    return volume


def test_a_box_that_cannot_flush_is_snapshotted_with_a_warning(run, cloud, box, boxes):
    def refuse() -> None:
        raise SshError("No answer.", code="ssh-timeout")

    attached(cloud, box)
    boxes.on_login = refuse
    done = run("volume", "snapshot", "aws-gpu1", "-o", "json")
    assert done.exit_code == 0, done.output
    assert [one["code"] for one in json.loads(done.stdout)["warnings"]] == ["not-flushed"]


def test_a_filesystem_that_does_not_grow_is_the_missing_half(run, cloud, box, boxes):
    volume = attached(cloud, box)
    boxes.setup = Remote(1, ("resize2fs: Bad magic number",))
    done = run("volume", "grow", "aws-gpu1", "--size", "20", "--yes", "-o", "json")
    code, error, message = failed(done)
    assert (code, error) == (3, "filesystem-not-grown")
    assert "Bad magic number" in message
    assert cloud.ec2(WEST).describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"] == 20
    boxes.setup = Remote(3, ("/dev/nvme2n1 is not mounted",))
    done = run("volume", "grow", volume, "--size", "30", "--yes", "-o", "json")
    assert json.loads(done.stdout)["filesystem"] == "not-mounted"


def test_the_filesystem_of_a_volume_that_has_the_size_already_is_grown(run, cloud, box, boxes):
    """An earlier command stopped between the two, or the volume was never modified: EC2 has an error for that."""
    attached(cloud, box)
    cloud.fail("DescribeVolumesModifications", "InvalidVolumeModification.NotFound")
    cloud.calls.clear()
    done = run("volume", "grow", "aws-gpu1", "--size", "8", "--yes", "-o", "json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["filesystem"] == "grown"
    assert "ModifyVolume" not in {operation for _, operation in cloud.calls}


def test_a_refused_growth_whose_modifications_cannot_be_read_keeps_its_own_error(run, cloud, box, boxes):
    attached(cloud, box)
    cloud.fail("ModifyVolume", "VolumeModificationSizeLimitExceeded")
    cloud.deny(WEST, "DescribeVolumesModifications")
    code, _, message = failed(run("volume", "grow", "aws-gpu1", "--size", "20", "--yes", "-o", "json"))
    assert (code, "VolumeModificationSizeLimitExceeded" in message) == (1, True), message


@pytest.fixture
def volume_of_a_box(cloud, box, boxes) -> str:
    """The volume of the box aws-gpu1."""
    return attached(cloud, box)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("grow", "aws-gpu1", "--size", "7", "--yes"), 2, "has 8 GB already: a volume can grow, but not shrink."),
        (("snapshot", "aws-gpu9"), 1, "No box named aws-gpu9"),
        (("snapshot", NOBODY), 1, f"There is no data volume {NOBODY} in any enabled region."),
        (("restore", "snap-0123456789abcdef0"), 1, "There is no snapshot"),
        (("restore", "vol-1"), 2, "is not a valid snapshot"),
        (("create", "--size", "8", "--zone", "sa-west-1a"), 2, "in no region that is enabled"),
        (("create", "--size", "8", "--zone", "us-west-2a", "-r", WEST), 2, "--zone names the region, too."),
        (("rm", "aws-gpu1", "--yes"), 2, "is not a valid volume or snapshot"),
        (("rm", NOBODY), 2, "needs a confirmation"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, volume_of_a_box, words, code, message):
    done = run("volume", *words)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr


def test_a_size_below_the_snapshots_is_refused(run, cloud):
    made = make_snapshot(cloud.ec2(WEST), size=20)
    done = run("volume", "restore", made, "--zone", "us-west-2a", "--size", "10")
    assert (done.exit_code, "needs 20 GB, and 10 GB were passed" in done.stderr) == (2, True)


def test_the_question_names_size_and_price():
    disk = RemovedDisk("snapshot", "snap-1", WEST, 100, 5.0, deleted=False)
    assert "snap-1  100 GB  in us-west-2  about $5.00/month" in views.remove_question([disk])
