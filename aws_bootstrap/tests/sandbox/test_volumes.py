"""EBS: what moto lets pass and EC2 does not."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from aws_bootstrap import ec2 as verbs
from aws_bootstrap.errors import AwsError

from .conftest import eventually, launch, refused, wait_state


@pytest.fixture
def instance(ec2):
    return wait_state(ec2, launch(ec2)["InstanceId"], "running")


def make_volume(ec2, zone, size=10):
    volume_id = ec2.create_volume(AvailabilityZone=zone, Size=size, VolumeType="gp3")["VolumeId"]
    assert eventually(lambda: status(ec2, volume_id) == "available")
    return volume_id


def status(ec2, volume_id):
    return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"]


def test_of_several_values_of_a_filter_one_is_enough(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html"""
    tagged = []
    for keys in (["one"], ["two"], ["one", "two"], ["three"]):
        tags = [{"Key": key, "Value": ""} for key in keys]
        specification = [{"ResourceType": "volume", "Tags": tags}]
        made = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1, TagSpecifications=specification)
        tagged.append(made["VolumeId"])
    filters = [{"Name": "tag-key", "Values": ["one", "two"]}]
    found = ec2.describe_volumes(Filters=filters)["Volumes"]
    assert sorted(volume["VolumeId"] for volume in found) == sorted(tagged[:3])


def test_a_volume_that_there_is_not_is_named_in_ec2s_words(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidVolume.NotFound)"""
    known = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
    with pytest.raises(ClientError) as caught:
        ec2.describe_volumes(VolumeIds=[known, "vol-0123456789abcdef0"])
    assert caught.value.response["Error"] == {
        "Code": "InvalidVolume.NotFound",
        "Message": "The volume 'vol-0123456789abcdef0' does not exist.",
    }


def zone_of(instance):
    return instance["Placement"]["AvailabilityZone"]


def attach(ec2, volume_id, instance, device="/dev/sdf"):
    return {"VolumeId": volume_id, "InstanceId": instance["InstanceId"], "Device": device}


def test_a_volume_is_creating_then_available(cloud, ec2):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html"""
    cloud.timing(volume_creating=0.3)
    made = ec2.create_volume(AvailabilityZone="us-west-2a", Size=10)
    assert made["State"] == "creating"
    assert status(ec2, made["VolumeId"]) == "creating"
    assert eventually(lambda: status(ec2, made["VolumeId"]) == "available")
    cloud.timing(volume_creating=0.05)


def test_one_client_token_makes_one_volume(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html (ClientToken)"""
    wanted = {"AvailabilityZone": "us-west-2a", "Size": 10, "ClientToken": "token-1"}
    first = ec2.create_volume(**wanted)["VolumeId"]
    assert ec2.create_volume(**wanted)["VolumeId"] == first
    assert refused(ec2.create_volume, **wanted | {"Size": 11}) == "IdempotentParameterMismatch"
    assert ec2.create_volume(**wanted | {"ClientToken": "token-2"})["VolumeId"] != first
    assert ec2.create_volume(AvailabilityZone="us-west-2a", Size=10)["VolumeId"] != first
    assert len(ec2.describe_volumes()["Volumes"]) == 3
    elsewhere = cloud.client(region="us-east-1")
    assert elsewhere.create_volume(**wanted | {"AvailabilityZone": "us-east-1a"})["VolumeId"] != first


def test_a_token_of_a_request_that_failed_may_be_used_again(ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html (retrying failed requests)"""
    wrong = {"AvailabilityZone": "us-west-9z", "Size": 10, "ClientToken": "token-1"}
    assert refused(ec2.create_volume, **wrong) == "InvalidZone.NotFound"
    assert ec2.create_volume(**wrong | {"AvailabilityZone": "us-west-2a"})["VolumeId"]


def test_a_volume_is_attached_once(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html"""
    volume_id = make_volume(ec2, zone_of(instance))
    assert ec2.attach_volume(**attach(ec2, volume_id, instance))["State"] == "attaching"
    assert status(ec2, volume_id) == "in-use"
    assert refused(ec2.attach_volume, **attach(ec2, volume_id, instance, "/dev/sdg")) == "VolumeInUse"


def test_volume_and_instance_share_a_zone(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidVolume.ZoneMismatch)"""
    other = next(zone for zone in ("us-west-2a", "us-west-2b", "us-west-2c") if zone != zone_of(instance))
    wrong = attach(ec2, make_volume(ec2, other), instance)
    assert refused(ec2.attach_volume, **wrong) == "InvalidVolume.ZoneMismatch"


def test_a_device_is_used_once(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html (Device)"""
    first, second = (make_volume(ec2, zone_of(instance)) for _ in range(2))
    ec2.attach_volume(**attach(ec2, first, instance))
    assert refused(ec2.attach_volume, **attach(ec2, second, instance)) == "InvalidParameterValue"
    assert refused(ec2.attach_volume, **attach(ec2, second, instance, "nonsense")) == "InvalidParameterValue"


def test_a_pending_instance_takes_no_volume(cloud, ec2):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html: running or stopped instances"""
    cloud.timing(pending=5.0)
    young = launch(ec2)
    cloud.timing(pending=0.2)
    volume_id = make_volume(ec2, zone_of(young))
    assert refused(ec2.attach_volume, **attach(ec2, volume_id, young)) == "IncorrectState"


def test_detach_needs_no_instance(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html (InstanceId is optional)"""
    volume_id = make_volume(ec2, zone_of(instance))
    ec2.attach_volume(**attach(ec2, volume_id, instance))
    assert ec2.detach_volume(VolumeId=volume_id)["State"] == "detaching"
    assert status(ec2, volume_id) == "in-use"
    assert eventually(lambda: status(ec2, volume_id) == "available")
    assert refused(ec2.detach_volume, VolumeId=volume_id) == "IncorrectState"


def test_the_tools_own_verbs_attach_detach_and_wait(cloud, ec2, instance):
    """What terminate waits for, against an EC2 that takes its time: the volume is in use until it is detached."""
    volume_id = make_volume(ec2, zone_of(instance))
    verbs.attach_ebs_volume(ec2, volume_id, instance["InstanceId"])
    holders = {volume_id: instance["InstanceId"]}
    (settled,) = verbs.wait_detached(ec2, holders, timeout=0.0)
    assert str(settled[volume_id]) == f"{volume_id} did not detach within 0 s."
    cloud.clear_log()
    verbs.detach_ebs_volume(ec2, volume_id)
    assert list(verbs.wait_detached(ec2, holders)) == [{volume_id: None}]
    assert status(ec2, volume_id) == "available"
    (sent,) = cloud.log("DetachVolume")
    assert sent["parameters"]["VolumeId"] == volume_id
    with pytest.raises(AwsError) as caught:
        verbs.detach_ebs_volume(ec2, volume_id)
    assert caught.value.aws_code == "IncorrectState"


def test_the_root_volume_of_a_running_instance_stays(ec2, instance):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-detaching-volume.html"""
    root = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert refused(ec2.detach_volume, VolumeId=root) == "OperationNotPermitted"


def test_a_volume_in_use_is_not_deleted(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html"""
    volume_id = make_volume(ec2, zone_of(instance))
    ec2.attach_volume(**attach(ec2, volume_id, instance))
    assert refused(ec2.delete_volume, VolumeId=volume_id) == "VolumeInUse"


def test_a_data_volume_stays_in_use_until_the_instance_is_gone_and_survives_it(ec2, instance):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html"""
    volume_id = make_volume(ec2, zone_of(instance))
    ec2.attach_volume(**attach(ec2, volume_id, instance))
    root = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert status(ec2, volume_id) == "in-use"
    wait_state(ec2, instance["InstanceId"], "terminated")
    assert status(ec2, volume_id) == "available"
    assert refused(ec2.describe_volumes, VolumeIds=[root]) == "InvalidVolume.NotFound"


def test_size_and_zone_are_checked(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html"""
    assert refused(ec2.create_volume, AvailabilityZone="us-west-2a", Size=20_000) == "InvalidParameterValue"
    assert refused(ec2.create_volume, AvailabilityZone="us-west-9z", Size=1) == "InvalidZone.NotFound"


def test_a_tag_is_deleted_by_its_key_or_by_key_and_value(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html"""

    def tags():
        return {t["Key"] for t in ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0].get("Tags", [])}

    volume_id = make_volume(ec2, "us-west-2a")
    ec2.create_tags(Resources=[volume_id], Tags=[{"Key": key, "Value": "once"} for key in ("a", "b", "c")])
    ec2.delete_tags(Resources=[volume_id], Tags=[{"Key": "a"}, {"Key": "b", "Value": "other"}])
    assert tags() == {"b", "c"}
    ec2.delete_tags(Resources=[volume_id], Tags=[{"Key": "a"}, {"Key": "b", "Value": "once"}])
    assert tags() == {"c"}
