"""`terminate` as users run it: a process of its own against the sandbox."""

from __future__ import annotations

import json
import signal

from aws_bootstrap.tests.cloud import make_volume
from aws_bootstrap.tests.programs import alive, billing, started, writes


def test_an_id_is_not_declared_missing_on_a_partial_view(program):
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "UnauthorizedOperation"})
    code, failed = program.json("terminate", "i-0123456789abcdef0", "--yes")
    assert code == 1
    assert failed["error"]["code"] == "region-failed"
    assert writes(program) == []


def data_volume(program, instance_id: str) -> str:
    return make_volume(program.sandbox.client(), instance_id, size=1)


def test_one_volume_that_stays_does_not_save_the_other_and_is_reported(program):
    box = program.json("launch", "--no-setup")[1]["instance_id"]
    first, second = data_volume(program, box), data_volume(program, box)
    program.sandbox.fault(action="DeleteVolume", match={"VolumeId": first}, do={"error": "UnauthorizedOperation"})
    code, failed = program.json("terminate", box, "--yes")
    assert code == 3
    assert failed["terminated"][0]["ebs_volumes_deleted"] == [second]
    assert billing(failed) == [first]
    assert f"terminate {box} --region us-west-2" in failed["error"]["hint"]


def test_a_volume_that_another_box_uses_is_kept(program, wait_for):
    box, other = (program.json("launch", "--no-setup")[1] for _ in range(2))
    client = program.sandbox.client()
    volume = data_volume(program, box["instance_id"])
    zone = client.describe_instances(InstanceIds=[other["instance_id"]])["Reservations"][0]["Instances"][0]["Placement"]
    if zone["AvailabilityZone"] != "us-west-2a":
        client.delete_volume(VolumeId=volume)
        tags = [
            {"Key": "created-by", "Value": "aws-bootstrap-g4dn"},
            {"Key": "aws-bootstrap-instance", "Value": box["instance_id"]},
        ]
        made = client.create_volume(
            AvailabilityZone=zone["AvailabilityZone"],
            Size=1,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
        )
        volume = made["VolumeId"]
    wait_for(lambda: client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    client.attach_volume(VolumeId=volume, InstanceId=other["instance_id"], Device="/dev/sdf")
    code, ended = program.json("terminate", box["instance_id"], "--yes")
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_kept"] == [volume]
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "in-use"


def test_regions_that_were_ended_are_reported_when_another_fails(program):
    boxes = [program.json("launch", "--no-setup", "-r", r)[1]["instance_id"] for r in ("us-west-2", "eu-west-1")]
    program.sandbox.fault(action="TerminateInstances", region="eu-west-1", do={"error": "OperationNotPermitted"})
    code, failed = program.json("terminate", *boxes, "--yes")
    assert code == 3
    assert [t["instance_id"] for t in failed["terminated"]] == [boxes[0]]
    assert failed["terminated"][0]["ssh_alias_removed"] == "aws-gpu1"
    assert failed["error"]["code"] == "protected"


def test_a_terminate_that_is_stopped_while_ec2_ends_the_box_tells_what_still_bills(program, wait_for):
    box = program.json("launch", "--no-setup", "--ebs-storage", "1")[1]
    volume = box["ebs_volume"]["volume_id"]
    program.sandbox.fault(action="TerminateInstances", do={"delay": 1.5})
    process = started(program, "terminate", "--yes")
    wait_for(lambda: program.sandbox.log("TerminateInstances"))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=40)
    failed = json.loads(out)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert [(t["instance_id"], t["ssh_alias_removed"]) for t in failed["terminated"]] == [
        (box["instance_id"], "aws-gpu1")
    ]
    assert billing(failed) == [volume]
    wait_for(lambda: not alive(program))
    (printed,) = failed["error"]["next"]
    code, ended = program.json(*printed["argv"][2:], "--yes")
    assert (printed["argv"][:2], code) == (["aws-bootstrap", "--sandbox"], 0)
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [volume]


def test_nothing_to_terminate_names_the_region(program):
    assert "in eu-west-1" in program("terminate", "--region", "eu-west-1", "--yes").out


def test_another_peoples_instance_is_never_terminated(program):
    client = program.sandbox.client()
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    theirs = client.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge")
    instance_id = theirs["Instances"][0]["InstanceId"]
    code, failed = program.json("terminate", instance_id, "--yes")
    assert code == 1
    assert failed["error"]["code"] == "not-found"
    code, ended = program.json("terminate", "--yes")
    assert code == 0
    assert ended["terminated"] == []
    assert not program.sandbox.log("TerminateInstances")
