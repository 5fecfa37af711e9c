"""Data volumes in EC2 (ec2/volumes.py): the verbs against moto and Stubber."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.stub import ANY, Stubber

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import volumes
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.tests.stubs import lose, refused, specified

VOLUME: dict[str, Any] = {
    "VolumeId": "vol-1",
    "Size": 8,
    "State": "available",
    "AvailabilityZone": "us-west-2b",
    "Tags": [
        {"Key": "created-by", "Value": "aws-bootstrap-g4dn"},
        {"Key": "aws-bootstrap-instance", "Value": "i-1"},
        {"Key": "aws-bootstrap-keep", "Value": "true"},
        {"Key": "aws-bootstrap-format", "Value": "once"},
    ],
    "Attachments": [{"InstanceId": "i-1"}],
}
ATTACH = {"VolumeId": "vol-1", "InstanceId": "i-1", "Device": "/dev/sdf"}

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


def test_a_volume_in_use_is_refused_and_an_unknown_one_reported(aws):
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


def test_the_leave_to_format_is_taken_once(aws):
    volume = ec2.create_ebs_volume(aws, BOX, 8).volume_id
    assert ec2.revoke_format_permissions(aws, [volume]) == {volume}
    assert "aws-bootstrap-format" not in {t["Key"] for t in aws.describe_volumes()["Volumes"][0]["Tags"]}
    assert ec2.revoke_format_permissions(aws, [volume]) == set()
    assert ec2.revoke_format_permissions(aws, ["vol-0123456789abcdef0"]) == set()


@pytest.mark.parametrize("after", [False, True])
def test_a_removal_whose_answer_is_lost_is_no_leave(aws, after):
    volume = ec2.create_ebs_volume(aws, BOX, 8).volume_id
    lose(aws, "DeleteTags", after=after)
    with pytest.raises(AwsError):
        ec2.revoke_format_permissions(aws, [volume])
    assert ec2.validate_ebs_volume(aws, volume).format_once is not after


def formattable(**more) -> dict:
    tag = {"Key": "aws-bootstrap-format", "Value": "once"}
    raw = {"VolumeId": "vol-1", "Size": 8, "State": "in-use", "AvailabilityZone": "us-west-2a", "Tags": [tag]}
    return {"Volumes": [raw | more]}


def test_a_tag_that_stays_is_no_leave(aws):
    with Stubber(aws) as stub:
        stub.add_response("describe_volumes", formattable())
        stub.add_response("delete_tags", {})
        stub.add_response("describe_volumes", formattable())
        assert ec2.revoke_format_permissions(aws, ["vol-1"], timeout=0.0) == set()


@pytest.mark.parametrize(
    "more", [{"SnapshotId": "snap-1"}, {"Tags": []}, {"Tags": [{"Key": "aws-bootstrap-format", "Value": "no"}]}]
)
def test_a_volume_from_a_snapshot_or_without_the_tag_has_no_leave(aws, more):
    with Stubber(aws) as stub:
        stub.add_response("describe_volumes", formattable(**more))
        assert ec2.revoke_format_permissions(aws, ["vol-1"]) == set()


def described(*raw: dict[str, Any]) -> dict[str, Any]:
    return {"Volumes": list(raw)}


# --- each request and each field of a reply --------------------------------------------------------------


def test_every_field_of_a_volume_is_read(client, stub):
    of_ours = {"Filters": [{"Name": "tag-key", "Values": ["aws-bootstrap-instance"]}]}
    raw = [VOLUME, VOLUME | {"SnapshotId": "snap-1", "Attachments": [{}]}]
    stub.add_response("describe_volumes", described(*raw), of_ours)
    stub.add_response("describe_volumes", described({"VolumeId": "vol-2"}), {"VolumeIds": ["vol-2"]})
    whole, restored = ec2.find_volumes(client)
    bare = ec2.find_volume(client, "vol-2")
    assert bare is not None
    assert (whole.volume_id, whole.region, whole.size_gb, whole.state) == ("vol-1", "us-west-2", 8, "available")
    assert (whole.availability_zone, whole.instance_id, whole.attached_to) == ("us-west-2b", "i-1", "i-1")
    assert whole.created_by_us
    assert whole.kept
    assert whole.format_once
    assert not restored.format_once
    assert restored.attached_to == "unknown"
    assert (bare.size_gb, bare.state, bare.availability_zone) == (0, "unknown", "")
    assert not bare.created_by_us
    assert not bare.kept
    assert not bare.format_once
    assert bare.instance_id is None
    assert bare.attached_to is None


def test_the_volumes_of_an_instance_are_asked_by_its_tag(client, stub):
    wanted = {"Filters": [{"Name": "tag:aws-bootstrap-instance", "Values": ["i-1"]}]}
    stub.add_response("describe_volumes", described(VOLUME), wanted)
    assert [v.volume_id for v in ec2.find_ebs_volumes_for_instances(client, ["i-1"])] == ["vol-1"]


def test_the_volumes_of_many_instances_take_a_call_for_each_200_of_them(client, stub):
    ids = [f"i-{number}" for number in range(201)]
    for some in (ids[:200], ids[200:]):
        wanted = {"Filters": [{"Name": "tag:aws-bootstrap-instance", "Values": some}]}
        stub.add_response("describe_volumes", described(VOLUME), wanted)
    assert len(ec2.find_ebs_volumes_for_instances(client, ids)) == 2


def test_one_call_looks_at_all_volumes_that_are_being_created(client, stub):
    """A volume that EC2 does not know yet is being created as well."""
    wanted = {"Filters": [{"Name": "volume-id", "Values": ["vol-1", "vol-2"]}]}
    first, second = VOLUME | {"State": "available"}, VOLUME | {"VolumeId": "vol-2"}
    stub.add_response("describe_volumes", described(first), wanted)
    stub.add_response("describe_volumes", described(first, second | {"State": "creating"}), wanted)
    stub.add_response("describe_volumes", described(first, second | {"State": "in-use"}), wanted)
    ec2.wait_created(client, ["vol-1", "vol-2"])
    stub.assert_no_pending_responses()


def test_volumes_that_stay_as_they_are_are_waited_for_no_longer_than_that(client, stub):
    stub.add_response("describe_volumes", described(VOLUME | {"State": "creating"}))
    ec2.wait_created(client, ["vol-1"], timeout=0.0)
    stub.assert_no_pending_responses()


def test_a_volume_is_created_encrypted_tagged_and_once_an_instance(client, stub):
    named = {"Name": "aws-bootstrap-data-i-1", "team": "vision", "aws-bootstrap-instance": "i-1"}
    wanted = {
        "AvailabilityZone": "us-west-2b",
        "Size": 96,
        "VolumeType": "gp3",
        "Encrypted": True,
        "ClientToken": "data-i-1",
        "TagSpecifications": specified("volume", **named, **{"aws-bootstrap-format": "once"}),
    }
    stub.add_response("create_volume", {"VolumeId": "vol-1"}, wanted)
    made = ec2.create_ebs_volume(
        client, factories.instance(availability_zone="us-west-2b"), 96, {"team": "vision", "Name": "theirs"}
    )
    assert (made.volume_id, made.size_gb, made.state, made.availability_zone) == ("vol-1", 96, "creating", "us-west-2b")


def test_a_volume_that_is_brought_must_be_free(client, stub):
    wanted = {"VolumeIds": ["vol-1"]}
    stub.add_response("describe_volumes", described(VOLUME), wanted)
    assert ec2.validate_ebs_volume(client, "vol-1").volume_id == "vol-1"
    stub.add_response("describe_volumes", described(VOLUME | {"State": "in-use"}), wanted)
    with pytest.raises(BootstrapError, match="vol-1 is in-use; a volume must be available") as caught:
        ec2.validate_ebs_volume(client, "vol-1")
    assert caught.value.code == "volume-in-use"
    assert "--region us-west-2 --volume-ids vol-1" in str(caught.value.hint)
    stub.add_response("describe_volumes", described({"VolumeId": "vol-1", "State": "available"}), wanted)
    with pytest.raises(AwsError, match="'AvailabilityZone'"):
        ec2.validate_ebs_volume(client, "vol-1")


def test_tags_that_keep_a_volume(client, stub):
    kept = {"Key": "aws-bootstrap-keep", "Value": "true"}
    meant = {"Key": "aws-bootstrap-instance", "Value": "i-1"}
    stub.add_response("create_tags", {}, {"Resources": ["vol-1"], "Tags": [meant, kept]})
    ec2.claim_ebs_volume(client, "vol-1", "i-1")
    stub.add_response("create_tags", {}, {"Resources": ["vol-1"], "Tags": [kept]})
    ec2.keep_ebs_volume(client, "vol-1")


@pytest.mark.parametrize("code", ["IncorrectState", "InvalidVolume.NotFound"])
def test_a_volume_that_is_not_ready_is_attached_when_it_is(client, stub, code):
    stub.add_client_error("attach_volume", code, "")
    stub.add_response("attach_volume", {}, ATTACH)
    ec2.attach_ebs_volume(client, "vol-1", "i-1")
    stub.add_client_error("attach_volume", code, "")
    with pytest.raises(AwsError) as caught:
        ec2.attach_ebs_volume(client, "vol-1", "i-1", timeout=0.0)
    assert caught.value.aws_code == code


@pytest.mark.parametrize(("holder", "works"), [("i-1", True), ("i-2", False), (None, False)])
@pytest.mark.parametrize("code", ["VolumeInUse", "RequestLimitExceeded"])
def test_a_volume_that_is_attached_already_is_success_if_it_is_ours(client, stub, holder, works, code):
    stub.add_client_error("attach_volume", code, "")
    held = [{"InstanceId": holder}] if holder else []
    stub.add_response("describe_volumes", described(VOLUME | {"Attachments": held}), {"VolumeIds": ["vol-1"]})
    if works:
        ec2.attach_ebs_volume(client, "vol-1", "i-1")
    else:
        with pytest.raises(AwsError):
            ec2.attach_ebs_volume(client, "vol-1", "i-1")


def test_a_volume_that_is_gone_is_not_attached(client, stub):
    stub.add_client_error("attach_volume", "VolumeInUse", "")
    stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "")
    with refused("VolumeInUse"):
        ec2.attach_ebs_volume(client, "vol-1", "i-1")


@pytest.mark.parametrize(("state", "deleted"), [("deleting", True), ("deleted", True), ("available", None)])
def test_a_deletion_is_seen_in_the_volumes_state(client, stub, state, deleted):
    stub.add_response("describe_volumes", described(VOLUME | {"State": state}))
    assert ec2.find_deletion(client, "vol-1") is deleted


def test_a_refusal_to_attach_is_not_looked_into(client, stub):
    stub.add_client_error("attach_volume", "UnauthorizedOperation", "")
    with pytest.raises(AwsError):
        ec2.attach_ebs_volume(client, "vol-1", "i-1")


def test_detaching_is_asked_for(client, stub):
    stub.add_response("detach_volume", {}, {"VolumeId": "vol-1"})
    ec2.detach_ebs_volume(client, "vol-1")


@pytest.mark.parametrize("code", ["IncorrectState", "OperationNotPermitted", "InvalidVolume.NotFound"])
def test_a_volume_that_ec2_does_not_detach_is_an_error_at_once(client, stub, code):
    """Of a detached volume, a root volume, one that is gone: nothing is asked a second time."""
    stub.add_client_error("detach_volume", code, "EC2's words", expected_params={"VolumeId": "vol-1"})
    with refused(code):
        ec2.detach_ebs_volume(client, "vol-1")


def test_a_volume_is_deleted_and_one_that_is_gone_is_fine(client, stub):
    stub.add_response("delete_volume", {}, {"VolumeId": "vol-1"})
    ec2.delete_ebs_volume(client, "vol-1")
    stub.add_client_error("delete_volume", "InvalidVolume.NotFound", "")
    ec2.delete_ebs_volume(client, "vol-1")
    stub.add_client_error("delete_volume", "VolumeInUse", "")
    with refused("VolumeInUse"):
        ec2.delete_ebs_volume(client, "vol-1")


def test_leave_to_format_is_used_up_before_it_is_given(client, stub):
    without = VOLUME | {"Tags": VOLUME["Tags"][:-1]}
    taken = {"Resources": ["vol-1"], "Tags": [{"Key": "aws-bootstrap-format"}]}
    named = {"Filters": [{"Name": "volume-id", "Values": ["vol-1"]}]}
    stub.add_response("describe_volumes", described(VOLUME), named)
    stub.add_response("delete_tags", {}, taken)
    stub.add_response("describe_volumes", described(without))
    assert volumes.revoke_format_permissions(client, ["vol-1"]) == {"vol-1"}


def test_leave_to_format_several_is_taken_in_one_call_and_only_of_those_whose_tag_goes(client, stub):
    tagged = [VOLUME | {"VolumeId": f"vol-{number}"} for number in (1, 2, 3)]
    bare = {"Tags": VOLUME["Tags"][:-1]}
    stub.add_response("describe_volumes", described(*tagged[:2], tagged[2] | bare))
    taken = {"Resources": ["vol-1", "vol-2"], "Tags": [{"Key": "aws-bootstrap-format"}]}
    stub.add_response("delete_tags", {}, taken)
    stub.add_response("describe_volumes", described(tagged[0] | bare, tagged[1]))
    asked = ["vol-1", "vol-2", "vol-3"]
    assert volumes.revoke_format_permissions(client, asked, timeout=0.0) == {"vol-1"}


def test_without_its_tag_a_volume_may_not_be_formatted(client, stub):
    without = VOLUME | {"Tags": VOLUME["Tags"][:-1]}
    stub.add_response("describe_volumes", described(without))
    assert volumes.revoke_format_permissions(client, ["vol-1"]) == set()
    stub.add_response("describe_volumes", described())
    assert volumes.revoke_format_permissions(client, ["vol-1"]) == set()


@pytest.mark.parametrize("gone", [True, False])
def test_a_tag_that_is_not_seen_to_go_gives_no_leave(client, stub, gone):
    stub.add_response("describe_volumes", described(VOLUME))
    stub.add_response("delete_tags", {})
    if gone:
        stub.add_response("describe_volumes", described())
    else:
        stub.add_response("describe_volumes", described(VOLUME))
    assert volumes.revoke_format_permissions(client, ["vol-1"], timeout=0.0) == set()


@pytest.mark.parametrize(("holder", "works"), [("i-1", True), ("i-2", False)])
def test_an_attachment_whose_answer_never_came_is_looked_into(client, stub, holder, works):
    def lost(**_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="https://ec2")

    client.meta.events.register_first("before-call.ec2.AttachVolume", lost)
    stub.add_response("describe_volumes", described(VOLUME | {"Attachments": [{"InstanceId": holder}]}))
    if works:
        ec2.attach_ebs_volume(client, "vol-1", "i-1")
    else:
        with pytest.raises(AwsError):
            ec2.attach_ebs_volume(client, "vol-1", "i-1")


def volume(aws, **tags) -> str:
    named = [{"Key": k.replace("_", "-"), "Value": v} for k, v in tags.items()]
    specification = [{"ResourceType": "volume", "Tags": named}]
    return aws.create_volume(AvailabilityZone="us-west-2a", Size=8, TagSpecifications=specification)["VolumeId"]


def test_data_volumes_are_found_by_their_instance_and_known_by_who_made_them(aws):
    ours = volume(aws, aws_bootstrap_instance="i-1", created_by="aws-bootstrap-g4dn")
    theirs = volume(aws, aws_bootstrap_instance="i-1", aws_bootstrap_keep="true")
    volume(aws, created_by="aws-bootstrap-g4dn")  # a root volume
    found = {v.volume_id: (v.created_by_us, v.kept) for v in ec2.find_ebs_volumes_for_instances(aws, ["i-1"])}
    assert found == {ours: (True, False), theirs: (False, True)}
    assert {v.volume_id for v in ec2.find_volumes(aws)} == {ours, theirs}
    ec2.keep_ebs_volume(aws, ours)
    assert all(v.kept for v in ec2.find_volumes(aws))


def test_root_volumes_are_found_in_the_same_call_and_nobody_elses(cloud):
    client = cloud.ec2("us-west-2")
    data = volume(client, aws_bootstrap_instance="i-1")
    instance_id = start_box(client)["InstanceId"]
    detached = volume(client, created_by="aws-bootstrap-g4dn")
    start_box(client, TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "created-by", "Value": "me"}]}])
    cloud.calls.clear()
    data_volumes, roots = ec2.find_volumes_and_roots(client)
    assert [v.volume_id for v in data_volumes] == [data]
    assert {(v.attached_to, v.size_gb) for v in roots if v.volume_id != detached} == {(instance_id, 8)}
    assert [v.attached_to for v in roots if v.volume_id == detached] == [None]
    assert cloud.calls == [("us-west-2", "DescribeVolumes")]


def test_deleting_a_volume_that_is_gone_is_fine(aws):
    one = volume(aws, aws_bootstrap_instance="i-1")
    assert list(ec2.wait_detached(aws, {one: "i-1"})) == [{one: None}]
    ec2.delete_ebs_volume(aws, one)
    ec2.delete_ebs_volume(aws, one)
    assert list(ec2.wait_detached(aws, {one: "i-1"})) == [{one: None}]
