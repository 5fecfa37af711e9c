"""Instances in EC2 (ec2/instances.py, ec2/requests.py, ec2/tags.py): Stubber for the exact request, moto for state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import InstanceRequest, Market, tags
from aws_bootstrap.ec2.instances import find_by_token, get_instances
from aws_bootstrap.ec2.requests import run_parameters
from aws_bootstrap.errors import AwsError, BootstrapError, CapacityError, QuotaError, TransientError
from aws_bootstrap.models import Instance, StateChange
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.stubs import OURS, refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FULL: dict[str, Any] = {
    "InstanceId": "i-1",
    "State": {"Name": "running"},
    "InstanceType": "g5.xlarge",
    "InstanceLifecycle": "spot",
    "Placement": {"AvailabilityZone": "us-west-2b"},
    "LaunchTime": NOW,
    "PublicIpAddress": "203.0.113.9",
    "StateReason": {"Message": "why", "Code": "Server.Why"},
    "StateTransitionReason": "User initiated (2026-01-15 10:30:00 GMT)",
    "SpotInstanceRequestId": "sir-1",
    "ImageId": "ami-1",
    "SecurityGroups": [{"GroupId": "sg-1"}, {"GroupName": "no id"}],
}

IMAGE = factories.image()


# --- the request -----------------------------------------------------------------------------------------


def request(subnet_id: str | None = None, market: Market = "spot", **more: Any) -> InstanceRequest:
    return factories.request(subnet_id=subnet_id, market=market, **more)


def parameters(*args: Any, **more: Any) -> dict[str, Any]:
    """What RunInstances is sent for such a request."""
    return dict(run_parameters(request(*args, **more), 1))


SENT = parameters()


def test_the_request_is_safe_by_default():
    asked = parameters()
    assert asked["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert asked["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/sda1",
            "Ebs": {"VolumeSize": 100, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
        }
    ]
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert (asked["MinCount"], asked["MaxCount"]) == (1, 1)
    assert (asked["ImageId"], asked["InstanceType"]) == (IMAGE.image_id, "g4dn.xlarge")
    assert "UserData" not in asked
    assert asked["SecurityGroupIds"] == ["sg-1"]


def test_spot_is_one_time_and_everything_made_is_tagged():
    asked = parameters(user_tags={"team": "vision", "Name": "mine"})
    assert asked["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    kinds = [t["ResourceType"] for t in asked["TagSpecifications"]]
    assert kinds == ["instance", "volume", "network-interface", "spot-instances-request"]
    tags = {t["Key"]: t["Value"] for t in asked["TagSpecifications"][0]["Tags"]}
    assert tags == {"Name": "mine", "team": "vision", "created-by": "aws-bootstrap-g4dn"}


def test_on_demand_names_no_market_and_tags_no_spot_request():
    asked = parameters(market="on-demand")
    assert "InstanceMarketOptions" not in asked
    assert [t["ResourceType"] for t in asked["TagSpecifications"]] == ["instance", "volume", "network-interface"]
    assert {"Key": "Name", "Value": "aws-bootstrap-g4dn.xlarge"} in asked["TagSpecifications"][0]["Tags"]


def test_in_a_subnet_the_public_address_is_asked_for():
    asked = parameters("subnet-1")
    assert "SecurityGroupIds" not in asked
    assert asked["NetworkInterfaces"] == [
        {"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": ["sg-1"], "AssociatePublicIpAddress": True}
    ]


@pytest.mark.parametrize("subnet_id", [None, "subnet-1"], ids=["default", "subnet"])
@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_botocore_accepts_the_request(client, stub, subnet_id, market):
    reply = {"Instances": [described()]}
    asked = request(subnet_id, market, user_data="#cloud-config\n", availability_zone="us-west-2a")
    stub.add_response("run_instances", reply, run_parameters(asked, 1))
    assert ec2.start_instances(client, asked)[0].instance_id == "i-1"


# --- starting one ----------------------------------------------------------------------------------------


def described(**changes) -> dict[str, Any]:
    return {
        "InstanceId": "i-1",
        "State": {"Name": "pending", "Code": 0},
        "InstanceType": "g4dn.xlarge",
        "LaunchTime": datetime(2026, 1, 1, tzinfo=UTC),
        "Placement": {"AvailabilityZone": "us-west-2a"},
        **changes,
    }


def test_throttling_is_tried_again_with_the_same_token(client, stub):
    asked = request()
    for _ in range(2):
        stub.add_client_error("run_instances", "RequestLimitExceeded", http_status_code=503, expected_params=SENT)
    stub.add_response("run_instances", {"Instances": [described()]}, SENT)
    waits: list[float] = []
    assert ec2.start_instances(client, asked, sleep=waits.append)[0].instance_id == "i-1"
    assert len(waits) == 2
    assert waits[0] < waits[1] * 2


def test_a_lost_answer_is_tried_again_with_the_same_token(client, monkeypatch):
    asked = request()
    sent: list[str] = []

    def answer(request, **_):
        sent.append(request.body if isinstance(request.body, str) else request.body.decode())
        raise ConnectionClosedError(endpoint_url=request.url)

    client.meta.events.register_first("before-send.ec2.RunInstances", answer)
    with pytest.raises(TransientError):
        ec2.start_instances(client, asked, sleep=lambda seconds: None)
    assert len(sent) == 5
    assert all("ClientToken=t" in body for body in sent)


BY_TOKEN = {"Filters": [{"Name": "client-token", "Values": ["t"]}]}


@pytest.fixture
def lost_then_refused(client, stub):
    """RunInstances parameters whose first request is not answered, and whose second is refused."""
    asked = request()
    stub.add_client_error("run_instances", "InsufficientInstanceCapacity", http_status_code=500, expected_params=SENT)
    answers_to_lose = [ConnectionClosedError(endpoint_url="https://ec2")]

    def lose_the_first_answer(model, **_):
        if model.name == "RunInstances" and answers_to_lose:
            raise answers_to_lose.pop()

    client.meta.events.register_first("before-call.*.*", lose_the_first_answer)
    return asked


def test_a_refusal_after_a_lost_answer_does_not_hide_what_the_lost_request_started(client, stub, lost_then_refused):
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [described()]}]}, BY_TOKEN)
    assert ec2.start_instances(client, lost_then_refused, sleep=lambda seconds: None)[0].instance_id == "i-1"


def test_a_refusal_after_a_lost_answer_stands_where_nothing_was_started(client, stub, lost_then_refused):
    stub.add_response("describe_instances", {"Reservations": []}, BY_TOKEN)
    with pytest.raises(CapacityError) as caught:
        ec2.start_instances(client, lost_then_refused, sleep=lambda seconds: None)
    assert caught.value.outcome_known


def test_a_lost_answer_that_cannot_be_looked_up_is_no_refusal(client, stub, lost_then_refused):
    stub.add_client_error("describe_instances", "UnauthorizedOperation", expected_params=BY_TOKEN)
    with pytest.raises(AwsError) as caught:
        ec2.start_instances(client, lost_then_refused, sleep=lambda seconds: None)
    assert not caught.value.outcome_known


def test_a_refusal_after_a_failure_within_ec2_does_not_hide_what_the_failed_request_started(client, stub):
    asked = request()
    stub.add_client_error("run_instances", "InternalError", http_status_code=500, expected_params=SENT)
    stub.add_client_error("run_instances", "InsufficientInstanceCapacity", http_status_code=500, expected_params=SENT)
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [described()]}]}, BY_TOKEN)
    assert ec2.start_instances(client, asked, sleep=lambda seconds: None)[0].instance_id == "i-1"


def test_throttling_between_does_not_make_a_lost_request_forgotten(client, stub):
    asked = request()
    for code, status in (("InternalError", 500), ("RequestLimitExceeded", 503), ("InsufficientInstanceCapacity", 500)):
        stub.add_client_error("run_instances", code, http_status_code=status, expected_params=SENT)
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [described()]}]}, BY_TOKEN)
    assert ec2.start_instances(client, asked, sleep=lambda seconds: None)[0].instance_id == "i-1"


def test_a_refusal_after_throttling_is_believed(client, stub):
    asked = request()
    stub.add_client_error("run_instances", "RequestLimitExceeded", http_status_code=503, expected_params=SENT)
    stub.add_client_error("run_instances", "InsufficientInstanceCapacity", http_status_code=500, expected_params=SENT)
    with pytest.raises(CapacityError) as caught:
        ec2.start_instances(client, asked, sleep=lambda seconds: None)
    assert caught.value.outcome_known


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InsufficientInstanceCapacity", 500, CapacityError),
        ("SpotMaxPriceTooLow", 400, CapacityError),
        ("Unsupported", 400, CapacityError),
        ("MaxSpotInstanceCountExceeded", 400, QuotaError),
        ("VcpuLimitExceeded", 400, QuotaError),
        ("UnauthorizedOperation", 403, AwsError),
    ],
)
def test_a_refusal_is_sent_once(client, stub, code, status, kind):
    asked = request()
    stub.add_client_error("run_instances", code, http_status_code=status, expected_params=SENT)
    with pytest.raises(kind) as caught:
        ec2.start_instances(client, asked, sleep=lambda seconds: pytest.fail("waited"))
    assert caught.value.aws_code == code
    assert caught.value.outcome_known


def test_a_key_not_found_yet_is_tried_again(client, stub):
    asked = request()
    stub.add_client_error("run_instances", "InvalidKeyPair.NotFound", expected_params=SENT)
    stub.add_response("run_instances", {"Instances": [described()]}, SENT)
    assert ec2.start_instances(client, asked, sleep=lambda seconds: None)[0].instance_id == "i-1"


def test_a_refusal_after_a_key_not_found_yet_is_believed(client, stub):
    """Nothing was started, so nothing is looked up."""
    asked = request()
    stub.add_client_error("run_instances", "InvalidKeyPair.NotFound", expected_params=SENT)
    stub.add_client_error("run_instances", "InsufficientInstanceCapacity", http_status_code=500, expected_params=SENT)
    with pytest.raises(CapacityError) as caught:
        ec2.start_instances(client, asked, sleep=lambda seconds: None)
    assert caught.value.outcome_known


def test_replies_that_never_tell_the_state_end_the_wait(client, stub):
    reply = {"Reservations": [{"Instances": [{**described(), "State": {}}]}]}
    for _ in range(2):
        stub.add_response("describe_instances", reply, {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match="did not report the state of i-1") as caught:
        ec2.wait_running(client, ["i-1"], address_within=0.0, every=0.001)
    assert caught.value.code == "unexpected-reply"


def test_an_instance_that_ends_instead_of_running_is_reported_with_its_reason(client, stub):
    ended = described(State={"Name": "shutting-down", "Code": 32}, StateReason={"Code": "x", "Message": "no room"})
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [ended]}]}, {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match="no room") as caught:
        ec2.wait_running(client, ["i-1"])
    assert caught.value.code == "instance-ended"


def test_an_instance_without_an_address_is_reported(client, stub):
    running = described(State={"Name": "running", "Code": 16})
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [running]}]}, {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match="without a public address") as caught:
        ec2.wait_running(client, ["i-1"], address_within=-1.0)
    assert "--subnet-id" in str(caught.value.hint)


def test_a_running_instance_is_waited_for_until_it_has_its_address(client, stub):
    """mutants.md, `wait_running`: EC2 may say `running` a second before it tells the address."""
    running = described(State={"Name": "running", "Code": 16})
    addressed = running | {"PublicIpAddress": "203.0.113.9"}
    for raw in (described(), running, running, addressed):
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [raw]}]}, {"InstanceIds": ["i-1"]})
    assert ec2.wait_running(client, ["i-1"], every=0.001)[0].public_ip == "203.0.113.9"


# --- finding ---------------------------------------------------------------------------------------------


def test_only_ours_are_found(aws):
    image = aws.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    aws.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge")
    group = aws.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    aws.create_key_pair(KeyName="k")
    asked = replace(request(market="on-demand"), image=replace(IMAGE, image_id=image), group_id=group)
    (mine,) = ec2.start_instances(aws, asked)
    assert [i.instance_id for i in ec2.find_instances(aws)] == [mine.instance_id]
    assert mine.lifecycle == "on-demand"
    assert mine.region == "us-west-2"
    assert ec2.get_instances(aws, [mine.instance_id, "i-0123456789abcdef0"]) == ec2.find_instances(aws)


def test_the_highest_price_goes_into_the_spot_request():
    assert parameters(max_price=0.25)["InstanceMarketOptions"]["SpotOptions"]["MaxPrice"] == "0.25"


# --- each field of a reply -------------------------------------------------------------------------------


def reserved(*raw: dict[str, Any]) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [one]} for one in raw]}


def test_tags_are_read_whatever_they_lack():
    assert tags.values([{"Key": "a", "Value": "1"}, {"Key": "b"}, {"Value": "no key"}]) == {"a": "1", "b": ""}
    assert tags.CREATED_BY_FILTER == OURS


def test_every_field_of_an_instance_is_read(client, stub):
    filters = [OURS, {"Name": "instance-id", "Values": ["i-1", "i-2"]}]
    stub.add_response("describe_instances", reserved(FULL, {"InstanceId": "i-2"}), {"Filters": filters})
    full, bare = get_instances(client, ["i-1", "i-2"])
    assert full == Instance(
        *("i-1", "us-west-2", "running", "g5.xlarge", "spot", "us-west-2b", NOW),
        public_ip="203.0.113.9",
        state_reason="why",
        state_reason_code="Server.Why",
        spot_request_id="sir-1",
        image_id="ami-1",
        group_ids=("sg-1",),
    )
    assert bare == Instance("i-2", "us-west-2", "unknown", "unknown", "on-demand", "", None)


@pytest.mark.parametrize(
    ("transition", "ended_at"),
    [
        ("User initiated (2026-01-15 10:30:00 GMT)", datetime(2026, 1, 15, 10, 30, tzinfo=UTC)),
        ("Service initiated (2026-01-15 10:30:00 UTC)", datetime(2026, 1, 15, 10, 30, tzinfo=UTC)),
        ("Server.SpotInstanceTermination", None),
        ("User initiated (2026-99-15 10:30:00 GMT)", None),
        ("", None),
        (None, None),
    ],
)
def test_the_end_of_an_instance_is_read_where_ec2_says_it(client, stub, transition, ended_at):
    raw = {"InstanceId": "i-1", "State": {"Name": "terminated"}, "StateReason": {"Code": ""}}
    if transition is not None:
        raw["StateTransitionReason"] = transition
    stub.add_response("describe_instances", reserved(raw), {"Filters": [OURS]})
    (ended,) = ec2.find_instances(client, terminated=True)
    assert (ended.ended_at, ended.state_reason_code, ended.spot_request_id) == (ended_at, None, None)


def test_those_that_are_not_terminated_are_found_oldest_first(client, stub):
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters = [OURS, {"Name": "instance-state-name", "Values": states}]
    younger = {"InstanceId": "i-3", "LaunchTime": NOW.replace(year=2027)}
    stub.add_response("describe_instances", reserved(younger, FULL, {"InstanceId": "i-2"}), {"Filters": filters})
    assert [i.instance_id for i in ec2.find_instances(client)] == ["i-2", "i-1", "i-3"]


def test_an_instance_is_found_by_its_token(client, stub):
    wanted = {"Filters": [{"Name": "client-token", "Values": ["t"]}]}
    stub.add_response("describe_instances", reserved(FULL), wanted)
    stub.add_response("describe_instances", reserved(), wanted)
    assert [instance.instance_id for instance in find_by_token(client, "t")] == ["i-1"]
    assert find_by_token(client, "t") == []


@pytest.mark.parametrize(
    ("state", "code"),
    [("shutting-down", "instance-ended"), ("terminated", "instance-ended"), ("stopped", "instance-stopped")],
)
def test_an_instance_that_does_not_come_to_run_is_reported_by_its_state(client, stub, state, code):
    stub.add_client_error("describe_instances", "InvalidInstanceID.NotFound", "")
    for told in (FULL | {"State": {"Name": "pending"}}, {"InstanceId": "i-1"}, {"InstanceId": "i-1"} | state_of(state)):
        stub.add_response("describe_instances", reserved(told), {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match=f"i-1 is {state} instead of running: no reason given") as caught:
        ec2.wait_running(client, ["i-1"], every=0.001)
    assert caught.value.code == code
    assert "--instance-type or --region" in str(caught.value.hint)


@pytest.mark.parametrize(
    "reason", ["Client.InternalError: Client error on launch", "Client.InvalidKMSKey.InvalidState: The key is disabled"]
)
def test_an_ebs_key_that_refuses_is_named(client, stub, reason):
    raw = {"InstanceId": "i-1", "StateReason": {"Message": reason}} | state_of("terminated")
    stub.add_response("describe_instances", reserved(raw))
    with pytest.raises(BootstrapError, match="the EBS key refuses") as caught:
        ec2.wait_running(client, ["i-1"], every=0.001)
    assert caught.value.code == "instance-ended"
    assert "docs/permissions.md#kms" in str(caught.value.hint)


def state_of(name: str) -> dict[str, Any]:
    return {"State": {"Name": name}}


def test_waiting_for_an_instance_ends(client, stub):
    stub.add_response("describe_instances", reserved(FULL | state_of("pending")))
    with pytest.raises(BootstrapError, match="i-1 is not running after 0 s") as caught:
        ec2.wait_running(client, ["i-1"], timeout=0.0)
    assert caught.value.code == "instance-timeout"


def test_a_look_that_is_refused_is_not_waited_out(client, stub):
    stub.add_client_error("describe_instances", "UnauthorizedOperation", "")
    with refused("UnauthorizedOperation"):
        ec2.wait_running(client, ["i-1"])


def test_what_ec2_says_of_each_ended_instance_is_reported(client, stub):
    told = {"InstanceId": "i-1", "PreviousState": {"Name": "running"}, "CurrentState": {"Name": "shutting-down"}}
    stub.add_response("terminate_instances", {"TerminatingInstances": [told]}, {"InstanceIds": ["i-1"]})
    assert ec2.terminate_instances(client, ["i-1"]) == [StateChange("i-1", "running", "shutting-down")]


@pytest.mark.parametrize("lacking", ["PreviousState", "CurrentState"])
def test_an_instance_of_which_ec2_says_nothing_is_unknown(client, stub, lacking):
    told = {"InstanceId": "i-1", "PreviousState": {"Name": "running"}, "CurrentState": {"Name": "shutting-down"}}
    half = {k: v for k, v in told.items() if k != lacking} | {"InstanceId": "i-2"}
    stub.add_response("terminate_instances", {"TerminatingInstances": [told, half]})
    with pytest.raises(AwsError, match="the state of i-2, i-3") as caught:
        ec2.terminate_instances(client, ["i-3", "i-2", "i-1"])
    assert caught.value.outcome_known is False


@pytest.mark.parametrize("code", ["InvalidKeyPair.NotFound", "InvalidGroup.NotFound"])
def test_what_ec2_does_not_know_yet_is_asked_for_again(client, stub, code):
    stub.add_client_error("run_instances", code, "")
    stub.add_response("run_instances", {"Instances": [FULL]})
    assert ec2.start_instances(client, factories.request(), sleep=lambda _: None)[0].instance_id == "i-1"


def test_the_address_of_an_instance_that_has_none_is_an_error(client, stub):
    stub.add_response("describe_instances", reserved(FULL | {"PublicIpAddress": "", "State": {"Name": "stopped"}}))
    (bare,) = ec2.find_instances(client)
    assert bare.public_ip is None
    with pytest.raises(BootstrapError, match="has no public address") as caught:
        ec2.get_address(bare)
    assert caught.value.code == "no-public-ip"
    assert "status" in str(caught.value.hint)


def test_an_instance_without_an_address_is_reported_with_its_code(client, stub):
    bare = {k: v for k, v in FULL.items() if k != "PublicIpAddress"}
    stub.add_response("describe_instances", reserved(bare))
    with pytest.raises(BootstrapError, match="runs without a public address") as caught:
        ec2.wait_running(client, ["i-1"], address_within=0.0, every=0.001)
    assert caught.value.code == "no-public-ip"
    assert "--subnet-id" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("state", "reason", "found"),
    [
        ("terminated", "User initiated (2026-01-15 10:30:00 GMT)", True),
        ("terminated", "User initiated (2026-01-15 10:29:59 GMT)", False),
        ("terminated", "Server.SpotInstanceTermination: Spot instance termination", False),
        ("shutting-down", "", True),
    ],
)
def test_ended_instances_are_found_by_the_time_of_their_end(client, stub, state, reason, found):
    raw = {"InstanceId": "i-1", "State": {"Name": state}, "StateTransitionReason": reason}
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [raw]}]})
    ended = ec2.find_ended(client, datetime(2026, 1, 15, 10, 30, tzinfo=UTC))
    assert bool(ended) is found
