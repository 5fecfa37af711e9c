"""Instances: moto changes state at once; EC2 takes time and passes through every state."""

from __future__ import annotations

import json

from aws_bootstrap.sandbox.testing import FAST

from .conftest import describe, eventually, image, launch, refused, state, wait_state

SPOT = {"MarketType": "spot"}


def test_an_instance_is_pending_then_running_and_has_its_address_then(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html"""
    begun = launch(ec2)
    assert begun["State"] == {"Code": 0, "Name": "pending"}
    assert "PublicIpAddress" not in begun
    assert wait_state(ec2, begun["InstanceId"], "running")["PublicIpAddress"]


def test_a_terminated_instance_shuts_down_first_and_stays_visible(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html"""
    instance_id = launch(ec2)["InstanceId"]
    wait_state(ec2, instance_id, "running")
    change = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    gone = wait_state(ec2, instance_id, "terminated")
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert "PublicIpAddress" not in gone


def test_terminating_again_changes_nothing(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html: the call is idempotent."""
    instance_id = launch(ec2)["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_state(ec2, instance_id, "terminated")
    change = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("terminated", "terminated")


def test_stop_and_start_give_another_address(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-stop-start-works.html"""
    instance_id = launch(ec2)["InstanceId"]
    first = wait_state(ec2, instance_id, "running")["PublicIpAddress"]
    assert ec2.stop_instances(InstanceIds=[instance_id])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
    assert "PublicIpAddress" not in wait_state(ec2, instance_id, "stopped")
    ec2.start_instances(InstanceIds=[instance_id])
    assert wait_state(ec2, instance_id, "running")["PublicIpAddress"] != first


def test_status_checks_take_longer_than_running(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html"""
    instance_id = launch(ec2)["InstanceId"]
    wait_state(ec2, instance_id, "running")

    def check() -> str:
        return ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]["InstanceStatus"][
            "Status"
        ]

    cloud.timing(status_checks=3600.0)
    try:
        assert check() == "initializing"
    finally:
        cloud.timing(status_checks=FAST["status_checks"])
    assert eventually(lambda: check() == "ok")


def test_one_client_token_makes_one_instance(ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""
    first, again = (launch(ec2, ClientToken="token-1")["InstanceId"] for _ in range(2))
    assert first == again
    assert refused(ec2.run_instances, **_request(ec2, ClientToken="token-1", InstanceType="g5.xlarge")) == (
        "IdempotentParameterMismatch"
    )
    assert launch(ec2, ClientToken="token-2")["InstanceId"] != first
    ec2.terminate_instances(InstanceIds=[first])
    wait_state(ec2, first, "terminated")
    assert refused(ec2.run_instances, **_request(ec2, ClientToken="token-1")) == "IdempotentInstanceTerminated"


def test_an_instance_is_found_by_its_client_token(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html (filter client-token)"""
    instance_id = launch(ec2, ClientToken="token-1")["InstanceId"]
    launch(ec2, ClientToken="token-2")
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["token-1"]}])["Reservations"]
    assert [one["InstanceId"] for held in found for one in held["Instances"]] == [instance_id]


def test_what_does_not_exist_is_refused(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    assert refused(ec2.run_instances, **_request(ec2, InstanceType="g99.huge")) == "InvalidParameterValue"
    assert refused(ec2.describe_instance_types, InstanceTypes=["g99.huge"]) == "InvalidInstanceType"
    assert refused(ec2.run_instances, **_request(ec2, ImageId="ami-0123456789abcdef0")) == "InvalidAMIID.NotFound"
    assert refused(ec2.run_instances, **_request(ec2, KeyName="nobody's")) == "InvalidKeyPair.NotFound"


def test_a_region_without_the_type_says_unsupported(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html"""
    client = cloud.client(region="eu-west-3")
    assert refused(client.run_instances, **_request(client, InstanceType="p5.48xlarge")) == "Unsupported"


def test_as_many_start_as_were_asked_for(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html (MinCount, MaxCount)"""
    assert len(ec2.run_instances(**_request(ec2, MinCount=1, MaxCount=3))["Instances"]) == 3
    assert refused(ec2.run_instances, **_request(ec2, MinCount=3, MaxCount=1)) == "InvalidParameterValue"


def test_tags_are_there_from_the_first_answer(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html (TagSpecification)"""
    tags = [{"Key": "Name", "Value": "box"}]
    made = launch(ec2, TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")])
    assert made["Tags"] == tags
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [made["InstanceId"]]}])
    assert volumes["Volumes"][0]["Tags"] == tags


def test_a_dry_run_starts_nothing(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html (DryRun)"""
    assert refused(ec2.run_instances, **_request(ec2, DryRun=True)) == "DryRunOperation"
    assert ec2.describe_instances()["Reservations"] == []


def test_a_spot_instance_is_one_and_can_be_taken_back(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html"""
    made = launch(ec2, InstanceMarketOptions=SPOT)
    assert made["InstanceLifecycle"] == "spot"
    assert made["SpotInstanceRequestId"].startswith("sir-")
    wait_state(ec2, made["InstanceId"], "running")
    cloud.interrupt(made["InstanceId"])
    assert wait_state(ec2, made["InstanceId"], "terminated")["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_spot_request_tells_how_its_instance_ended(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"""
    kept, taken, ended = (launch(ec2, InstanceMarketOptions=SPOT) for _ in range(3))
    for made in (kept, taken, ended):
        wait_state(ec2, made["InstanceId"], "running")
    cloud.interrupt(taken["InstanceId"])
    ec2.terminate_instances(InstanceIds=[ended["InstanceId"]])

    def told(**request) -> list[tuple[str, str, str]]:
        found = ec2.describe_spot_instance_requests(**request)["SpotInstanceRequests"]
        return [(one["InstanceId"], one["State"], one["Status"]["Code"]) for one in found]

    rows = [
        (kept["InstanceId"], "active", "fulfilled"),
        (taken["InstanceId"], "closed", "instance-terminated-no-capacity"),
        (ended["InstanceId"], "closed", "instance-terminated-by-user"),
    ]
    assert sorted(told()) == sorted(rows)
    assert told(SpotInstanceRequestIds=[taken["SpotInstanceRequestId"]]) == [rows[1]]
    assert told(Filters=[{"Name": "state", "Values": ["active"]}]) == [rows[0]]
    unknown = refused(ec2.describe_spot_instance_requests, SpotInstanceRequestIds=["sir-00000000"])
    assert unknown == "InvalidSpotInstanceRequestID.NotFound"


def test_a_price_below_the_market_gets_nothing(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html"""
    market = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.01"}}
    assert refused(ec2.run_instances, **_request(ec2, InstanceMarketOptions=market)) == "SpotMaxPriceTooLow"


def test_termination_protection_holds(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html"""
    instance_id = launch(ec2)["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": True})
    assert refused(ec2.terminate_instances, InstanceIds=[instance_id]) == "OperationNotPermitted"


def test_hundreds_of_instances_in_one_answer(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html: all of them, up to 1,000."""
    cloud.quota("L-DB2E81BA", 1_000_000)
    ec2.run_instances(**_request(ec2, MinCount=60, MaxCount=60))
    for _ in range(2):
        ec2.run_instances(**_request(ec2, MinCount=30, MaxCount=30))
    assert sum(len(held["Instances"]) for held in ec2.describe_instances()["Reservations"]) == 120


def test_an_instance_lands_in_the_default_subnet_of_a_zone_that_offers_its_type(cloud, ec2):
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html"""
    made = launch(ec2)
    subnet = ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"][0]
    assert subnet["DefaultForAz"]
    assert subnet["AvailabilityZone"] == made["Placement"]["AvailabilityZone"]
    east = cloud.client(region="us-east-1")
    wrong = _request(east, Placement={"AvailabilityZone": "us-east-1e"}, InstanceType="g5.xlarge")
    assert refused(east.run_instances, **wrong) == "Unsupported"


def test_without_a_default_vpc_or_subnet_a_subnet_must_be_named(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (VPCIdNotSpecified, MissingInput)"""
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    assert refused(ec2.run_instances, **_request(ec2)) == "MissingInput"
    cloud.account(network="no-default-vpc")
    assert refused(ec2.run_instances, **_request(ec2)) == "VPCIdNotSpecified"


def test_the_log_tells_every_call_with_its_parameters(cloud, ec2):
    cloud.clear_log()
    launch(ec2, ClientToken="token-1")
    call = cloud.log("RunInstances")[0]
    assert (call["service"], call["region"], call["status"]) == ("ec2", "us-west-2", 200)
    assert call["parameters"]["ClientToken"] == "token-1"
    assert call["in_flight"] == 1
    assert call["seconds"] >= 0
    assert json.dumps(cloud.log())


def test_describe_is_the_same_as_what_was_launched(ec2):
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
    made = launch(ec2, MetadataOptions=options, InstanceInitiatedShutdownBehavior="terminate")
    seen = describe(ec2, made["InstanceId"])
    assert seen["MetadataOptions"]["HttpTokens"] == "required"
    assert seen["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert state(ec2, made["InstanceId"]) in ("pending", "running")


def _request(client, **changes):

    return {"ImageId": image(client), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1} | changes


def test_what_a_launch_leaves_out_of_its_disks_comes_from_the_image(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html"""
    shown = ec2.describe_images(ImageIds=[_request(ec2)["ImageId"]])["Images"][0]["BlockDeviceMappings"][0]
    assert shown["Ebs"]["Encrypted"] is False
    wanted = [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp3", "Encrypted": True}},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
    ]
    for mapping in ({"BlockDeviceMappings": wanted}, {}):
        made = launch(ec2, **mapping)
        held = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [made["InstanceId"]]}])
        assert [one["Size"] for one in held["Volumes"]] == [shown["Ebs"]["VolumeSize"]]
        assert made["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True
