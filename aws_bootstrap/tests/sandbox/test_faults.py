"""Faults on request: which calls are hit, and what the caller sees."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError

from aws_bootstrap.sandbox.cloud import catalog
from aws_bootstrap.sandbox.faults import BadRule, Faults, parse

from .conftest import eventually, image, launch, refused, state

SPOT = {"InstanceMarketOptions.MarketType": "spot"}


def call(action="RunInstances", **parameters):
    return {"service": "ec2", "action": action, "region": "us-west-2"} | parameters


def test_skip_and_times_bound_the_hits():
    faults = Faults()
    faults.add([{"match": {"action": "Run.*"}, "skip": 1, "times": 2, "do": {"error": "X"}}])
    hits = [faults.hit(call()) is not None for _ in range(5)]
    assert hits == [False, True, True, False, False]
    assert faults.facts()[0]["hits"] == 2


def test_a_pattern_must_fit_whole_and_a_missing_parameter_is_empty():
    faults = Faults()
    faults.add([{"match": {"region": "us-west"}, "do": {"error": "X"}}, {"match": SPOT, "do": {"error": "Y"}}])
    assert faults.hit(call()) is None
    assert faults.hit(call(**SPOT)) == {"error": "Y"}


def test_the_first_rule_that_takes_the_call_decides():
    faults = Faults()
    faults.add([{"do": {"error": "X"}, "times": 1}, {"do": {"error": "Y"}}])
    assert [faults.hit(call()) for _ in range(2)] == [{"error": "X"}, {"error": "Y"}]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"do": {}},
        {"do": {"explode": 1}},
        {"do": {"error": "X"}, "when": 1},
        {"match": {"action": "("}, "do": {"delay": 1}},
    ],
)
def test_a_rule_that_says_nothing_clear_is_refused(raw):
    with pytest.raises(BadRule):
        parse(raw)


def test_an_error_comes_in_each_services_own_form(cloud, ec2):
    cloud.fault(service="ec2", do={"error": "RequestLimitExceeded"})
    cloud.fault(service="servicequotas", do={"error": "TooManyRequestsException", "message": "slowly"})
    cloud.fault(service="sts", do={"error": "ExpiredToken"})
    assert refused(ec2.describe_instances) == "RequestLimitExceeded"
    assert refused(cloud.client("service-quotas").list_service_quotas, ServiceCode="ec2") == "TooManyRequestsException"
    assert refused(cloud.client("sts").get_caller_identity) == "ExpiredToken"


def test_missing_capacity_is_a_500(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (server error codes)"""
    cloud.fault(action="RunInstances", match=SPOT, do={"error": "InsufficientInstanceCapacity"}, times=1)
    with pytest.raises(ClientError) as raised:
        launch(ec2, InstanceMarketOptions={"MarketType": "spot"})
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert launch(ec2, InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]


def test_bare_http_errors_are_no_aws_errors(cloud, ec2):
    cloud.fault(action="DescribeInstances", do={"http": 503, "body": "<html>bad gateway</html>"})
    with pytest.raises(ClientError) as raised:
        ec2.describe_instances()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_reset_breaks_the_connection_before_anything_happens(cloud, ec2):
    cloud.fault(action="RunInstances", do={"reset": True}, times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        launch(ec2)
    assert ec2.describe_instances()["Reservations"] == []


def test_a_lost_reply_leaves_the_instance_behind_and_the_token_finds_it(cloud, ec2):
    cloud.fault(action="RunInstances", do={"reset_after": True}, times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        launch(ec2, ClientToken="token-1")
    made = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    assert launch(ec2, ClientToken="token-1")["InstanceId"] == made
    assert [one["status"] for one in cloud.log("RunInstances")] == [None, 200]


def test_a_delay_holds_one_call_and_no_other(cloud, ec2):
    cloud.fault(action="DescribeVpcs", do={"delay": 1.0})
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        slow = pool.submit(cloud.client().describe_vpcs)
        assert eventually(lambda: cloud.log("DescribeVpcs"))
        ec2.describe_regions()
        assert not slow.done()
        slow.result()
    assert time.monotonic() - begun >= 1.0
    quick = cloud.log("DescribeRegions")[0]
    assert quick["in_flight"] == 2


def test_faults_end_when_they_are_cleared(cloud, ec2):
    cloud.fault(do={"error": "Unavailable"})
    assert refused(ec2.describe_vpcs) == "Unavailable"
    cloud.clear_faults()
    assert image(ec2)


def test_a_held_call_takes_effect_when_it_is_released(cloud, ec2):
    cloud.fault(action="CreateVolume", do={"hold": True}, times=1)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ec2.create_volume, AvailabilityZone="us-west-2a", Size=1)
        assert cloud.wait_held()
        assert not [one for one in cloud.inventory() if one["type"] == "volume"]
        assert not held.done()
        cloud.release()
        assert held.result()["VolumeId"]
    assert not cloud.wait_held(0.0)


def test_a_silent_call_takes_effect_and_is_never_answered(cloud):
    impatient = cloud.client(read_timeout=0.2)
    cloud.fault(action="CreateVolume", do={"silent": True})
    with pytest.raises(ReadTimeoutError):
        impatient.create_volume(AvailabilityZone="us-west-2a", Size=1)
    assert len([one for one in cloud.inventory() if one["type"] == "volume"]) == 1


def test_a_snapshot_brings_an_account_back(cloud, ec2):
    kept = launch(ec2)["InstanceId"]
    volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
    cloud.snapshot("start")
    before = [one for one in cloud.inventory() if one["type"] == "volume"]
    ec2.delete_volume(VolumeId=volume)
    ec2.terminate_instances(InstanceIds=[kept])
    cloud.fault(do={"error": "Unavailable"})
    cloud.restore("start")
    assert state(ec2, kept) in ("pending", "running")
    after = [one for one in cloud.inventory() if one["type"] == "volume"]
    assert [one["id"] for one in after] == [one["id"] for one in before]
    assert [call["action"] for call in cloud.log()] == ["DescribeInstances"]


def test_an_account_has_the_regions_that_it_was_given(cloud, ec2):
    cloud.regions("eu-west-1", "us-west-2")
    try:
        assert [one["RegionName"] for one in ec2.describe_regions()["Regions"]] == ["eu-west-1", "us-west-2"]
    finally:
        cloud.regions(*catalog.REGIONS)
