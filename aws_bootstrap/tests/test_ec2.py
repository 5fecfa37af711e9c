"""EC2 verbs against botocore's request models: Stubber for the exact request, moto for state."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.stub import ANY, Stubber

from aws_bootstrap import ec2
from aws_bootstrap.ec2 import InstanceRequest, Market
from aws_bootstrap.ec2.requests import run_parameters
from aws_bootstrap.errors import AwsError, BootstrapError, CapacityError, QuotaError, TransientError
from aws_bootstrap.keys import LocalKey
from aws_bootstrap.models import KeyPair, Network, SecurityGroup
from aws_bootstrap.tests import factories

IMAGE = factories.image()
VPC = Network("vpc-1")


def key(body="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1ZrP6J5nJ0o1y2z3x4w5v6u7t8s9r0q1p2o3n4m5l6", path=None) -> LocalKey:
    return LocalKey(path, path, body)


# --- the request -----------------------------------------------------------------------------------------


def request(network: Network = VPC, market: Market = "spot", **more: Any) -> InstanceRequest:
    return factories.request(network=network, market=market, **more)


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
    assert "UserData" not in asked and asked["SecurityGroupIds"] == ["sg-1"]


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
    asked = parameters(Network("vpc-1", "subnet-1"))
    assert "SecurityGroupIds" not in asked
    assert asked["NetworkInterfaces"] == [
        {"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": ["sg-1"], "AssociatePublicIpAddress": True}
    ]


@pytest.mark.parametrize("network", [VPC, Network("vpc-1", "subnet-1")], ids=["default", "subnet"])
@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_botocore_accepts_the_request(client, stub, network, market):
    reply = {"Instances": [described()]}
    asked = request(network, market, user_data="#cloud-config\n", availability_zone="us-west-2a")
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
    assert len(waits) == 2 and waits[0] < waits[1] * 2


def test_a_lost_answer_is_tried_again_with_the_same_token(client, monkeypatch):
    asked = request()
    sent: list[str] = []

    def answer(request, **_):
        sent.append(request.body if isinstance(request.body, str) else request.body.decode())
        raise ConnectionClosedError(endpoint_url=request.url)

    client.meta.events.register_first("before-send.ec2.RunInstances", answer)
    with pytest.raises(TransientError):
        ec2.start_instances(client, asked, sleep=lambda seconds: None)
    assert len(sent) == 5 and all("ClientToken=t" in body for body in sent)


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
    assert caught.value.aws_code == code and caught.value.outcome_known


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
        ec2.wait_running(client, "i-1", address_within=0.0, every=0.001)
    assert caught.value.code == "unexpected-reply"


def test_an_instance_that_ends_instead_of_running_is_told_with_its_reason(client, stub):
    ended = described(State={"Name": "shutting-down", "Code": 32}, StateReason={"Code": "x", "Message": "no room"})
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [ended]}]}, {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match="no room") as caught:
        ec2.wait_running(client, "i-1")
    assert caught.value.code == "instance-ended"


def test_an_instance_without_an_address_is_told(client, stub):
    running = described(State={"Name": "running", "Code": 16})
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [running]}]}, {"InstanceIds": ["i-1"]})
    with pytest.raises(BootstrapError, match="without a public address") as caught:
        ec2.wait_running(client, "i-1", address_within=-1.0)
    assert "--subnet-id" in str(caught.value.hint)


def test_a_running_instance_is_waited_for_until_it_has_its_address(client, stub):
    """mutants.md, `wait_running`: EC2 may say `running` a second before it tells the address."""
    running = described(State={"Name": "running", "Code": 16})
    addressed = running | {"PublicIpAddress": "203.0.113.9"}
    for raw in (described(), running, running, addressed):
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [raw]}]}, {"InstanceIds": ["i-1"]})
    assert ec2.wait_running(client, "i-1", every=0.001).public_ip == "203.0.113.9"


# --- finding ---------------------------------------------------------------------------------------------


def test_only_ours_are_found(aws):
    image = aws.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    aws.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge")
    group = aws.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    aws.create_key_pair(KeyName="k")
    asked = replace(request(market="on-demand"), image=replace(IMAGE, image_id=image), group_id=group)
    (mine,) = ec2.start_instances(aws, asked)
    assert [i.instance_id for i in ec2.find_instances(aws)] == [mine.instance_id]
    assert mine.lifecycle == "on-demand" and mine.region == "us-west-2"
    assert ec2.get_instances(aws, [mine.instance_id, "i-0123456789abcdef0"]) == ec2.find_instances(aws)


@pytest.mark.parametrize(
    ("name", "owner", "user"),
    [
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*", "amazon", "ubuntu"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 2026", "amazon", "ec2-user"),
        ("al2023-ami-2023*", "amazon", "ec2-user"),
        ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*", "099720109477", "ubuntu"),
        ("RHEL-9.4*", "309956199498", "ec2-user"),
        ("rhel-9", "309956199498", "ec2-user"),
        ("Red Hat Enterprise Linux 9", "309956199498", "ec2-user"),
        ("Ubuntu Pro 24.04", "099720109477", "ubuntu"),
        ("amzn2-ami-kernel", "amazon", "ec2-user"),
        ("My Ubuntu", "amazon", "ubuntu"),
        ("An Amazon Linux image", "amazon", "ec2-user"),
    ],
)
def test_owner_and_login_by_image_name(name, owner, user):
    assert (ec2.image_owner(name), ec2.login_user(name)) == (owner, user)


def test_images_are_asked_of_their_publisher_alone_and_the_newest_comes_first(client, stub):
    """mutants.md, `find_images`: anyone may publish an image of the same name, and the oldest has an old driver."""
    dates = ["2026-01-02", "2026-03-01", "2026-02-01"]
    name = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
    raw = [{"ImageId": f"ami-{date}", "Architecture": "x86_64", "CreationDate": date} for date in dates]
    filters = [{"Name": "name", "Values": [name]}, {"Name": "state", "Values": ["available"]}]
    stub.add_response("describe_images", {"Images": raw}, {"Owners": ["amazon"], "Filters": filters})
    found = ec2.find_images(client, name)
    assert [image.creation_date for image in found] == sorted(dates, reverse=True)
    newest = ec2.latest_ami(found, ["x86_64"])
    assert newest and newest.image_id == "ami-2026-03-01"


def test_the_newest_image_of_the_right_architecture_wins():
    arm = factories.image(image_id="ami-3", architecture="arm64", creation_date="2026-03-01")
    new = factories.image(image_id="ami-2", creation_date="2026-02-01")
    assert ec2.latest_ami([arm, new, IMAGE], ["x86_64"]) == new
    assert ec2.latest_ami([arm], ["x86_64"]) is None


def test_types_that_a_region_lacks_are_left_out(aws):
    found = ec2.find_instance_types(aws, ["g4dn.xlarge", "g9z.large"])
    assert [(t.name, t.vcpus, t.gpu) for t in found] == [("g4dn.xlarge", 4, "1x T4 (16384 MiB)")]


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("g4dn.xlarge", "gvt"),
        ("vt1.3xlarge", "gvt"),
        ("p5en.48xlarge", "p5"),
        ("p4d.24xlarge", "p"),
        ("dl1.24xlarge", "dl"),
        ("m5.large", None),
    ],
)
def test_quota_family(kind, family):
    assert ec2.quota_family(kind) == family


def test_the_on_demand_price_is_read_from_the_price_list():
    product = {"terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"pricePerUnit": {"USD": "0.5260000000"}}}}}}}
    wanted = {
        "regionCode": "us-west-2",
        "instanceType": "g4dn.xlarge",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    asked = {"ServiceCode": "AmazonEC2", "Filters": filters}
    pricing = boto3.client("pricing", "us-east-1")
    with Stubber(pricing) as stubber:
        stubber.add_response("get_products", {"PriceList": [json.dumps(product)]}, asked)
        stubber.add_response("get_products", {"PriceList": []})
        assert ec2.on_demand_price(pricing, "us-west-2", "g4dn.xlarge") == 0.526
        assert ec2.on_demand_price(pricing, "us-west-2", "g9.xlarge") is None


def test_the_highest_price_goes_into_the_spot_request():
    assert parameters(max_price=0.25)["InstanceMarketOptions"]["SpotOptions"]["MaxPrice"] == "0.25"


def test_a_missing_default_vpc_names_the_option(client, stub):
    stub.add_response("describe_vpcs", {"Vpcs": []})
    with pytest.raises(BootstrapError, match="no default VPC") as caught:
        ec2.find_network(client, None)
    assert "--subnet-id" in str(caught.value.hint) and caught.value.code == "no-default-vpc"


def test_the_price_now_is_the_newest_of_each_zone(client, stub):
    def point(zone, price, day):
        return {
            "InstanceType": "g4dn.xlarge",
            "AvailabilityZone": zone,
            "SpotPrice": price,
            "Timestamp": datetime(2026, 1, day, tzinfo=UTC),
        }

    history = [point("a", "0.2", 1), point("a", "0.3", 3), point("b", "0.1", 2)]
    expected = {"InstanceTypes": ["g4dn.xlarge"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY}
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": history}, expected)
    prices = ec2.spot_prices(client, ["g4dn.xlarge", "g4dn.xlarge"])
    assert {zone: p.price for (_, zone), p in prices.items()} == {"a": 0.3, "b": 0.1}
    assert ec2.spot_prices(client, []) == {}


# --- key pairs and groups --------------------------------------------------------------------------------


def test_our_key_is_imported_once(aws):
    ours = key()
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == ("k", True)
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == ("k", False)
    assert ec2.ensure_key_pair(aws, "k", ours, ()) == ("k", False), "another launch was quicker"


def test_another_persons_key_is_left_alone(aws):
    theirs = key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    ec2.ensure_key_pair(aws, "k", theirs, ())
    ours = key()
    name, imported = ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k"))
    assert imported and name == f"k-{ours.digest}"
    assert ec2.ensure_key_pair(aws, "k", ours, ec2.find_key_pairs(aws, "k")) == (name, False)
    assert ec2.ensure_key_pair(aws, "k", theirs, ec2.find_key_pairs(aws, "k")) == ("k", False)


def test_a_pair_whose_key_ec2_does_not_tell_counts_as_anothers():
    assert ec2.key_pair_for((KeyPair("k", None),), "k", key())[0] == f"k-{key().digest}"


def rules_of(aws, group_id) -> list[tuple[int, list[str]]]:
    group = aws.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    return [
        (p["FromPort"], [r["CidrIp"] for r in p["IpRanges"]] + [r["CidrIpv6"] for r in p["Ipv6Ranges"]])
        for p in group["IpPermissions"]
    ]


def test_the_group_is_made_once_and_opened_for_those_who_are_missing(aws):
    vpc = ec2.find_network(aws, None).vpc_id
    group, made = ec2.ensure_security_group(aws, vpc, "ssh")
    ec2.ensure_ingress(aws, group, 22, ["203.0.113.7/32"])
    assert made and rules_of(aws, group.group_id) == [(22, ["203.0.113.7/32"])]
    again, made = ec2.ensure_security_group(aws, vpc, "ssh")
    ec2.ensure_ingress(aws, again, 2222, ["203.0.113.0/24", "2001:db8::1/128"])
    ec2.ensure_ingress(aws, group, 22, ["203.0.113.7/32"])
    assert again.group_id == group.group_id and not made
    assert (2222, ["203.0.113.0/24", "2001:db8::1/128"]) in rules_of(aws, group.group_id)
    tags = aws.describe_security_groups(GroupIds=[group.group_id])["SecurityGroups"][0]["Tags"]
    assert {"Key": "created-by", "Value": "aws-bootstrap-g4dn"} in tags


@pytest.mark.parametrize(
    ("protocol", "ports", "missing"),
    [
        ("tcp", {"FromPort": 22, "ToPort": 22}, ()),
        ("-1", {}, ()),
        ("udp", {"FromPort": 22, "ToPort": 22}, ("203.0.113.7/32",)),
        ("icmp", {"FromPort": 0, "ToPort": -1}, ("203.0.113.7/32",)),
        ("50", {}, ("203.0.113.7/32",)),
    ],
)
def test_only_tcp_rules_let_ssh_in(client, stub, protocol, ports, missing):
    """mutants.md, `_rules`: a UDP rule for the port left it closed, and the box billed unreachable."""
    rule = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": "203.0.113.0/24"}], **ports}
    group = {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": [rule]}
    stub.add_response("describe_security_groups", {"SecurityGroups": [group]})
    found = ec2.group_in(ec2.find_security_groups(client, "ssh"), "vpc-1")
    assert ec2.missing_cidrs(found, 22, ["203.0.113.7/32"]) == missing


@pytest.mark.parametrize(
    ("rule", "port", "cidr", "missing"),
    [
        ((22, 22, "203.0.113.0/24"), 22, "203.0.113.7/32", False),
        ((0, 65535, "0.0.0.0/0"), 22, "203.0.113.7/32", False),
        ((22, 22, "203.0.113.7/32"), 22, "203.0.113.0/24", True),
        ((23, 80, "0.0.0.0/0"), 22, "203.0.113.7/32", True),
        ((22, 22, "0.0.0.0/0"), 22, "2001:db8::1/128", True),
        ((22, 22, "::/0"), 22, "2001:db8::1/128", False),
    ],
)
def test_rules_are_checked_not_assumed(rule, port, cidr, missing):
    group = SecurityGroup("sg-1", "vpc-1", frozenset({rule}))
    assert ec2.missing_cidrs(group, port, [cidr]) == ((cidr,) if missing else ())


# --- volumes ---------------------------------------------------------------------------------------------


def volume(aws, **tags) -> str:
    named = [{"Key": k.replace("_", "-"), "Value": v} for k, v in tags.items()]
    specification = [{"ResourceType": "volume", "Tags": named}]
    return aws.create_volume(AvailabilityZone="us-west-2a", Size=8, TagSpecifications=specification)["VolumeId"]


def test_data_volumes_are_found_by_their_instance_and_known_by_who_made_them(aws):
    ours = volume(aws, aws_bootstrap_instance="i-1", created_by="aws-bootstrap-g4dn")
    theirs = volume(aws, aws_bootstrap_instance="i-1", aws_bootstrap_keep="true")
    volume(aws, created_by="aws-bootstrap-g4dn")  # a root volume
    found = {v.volume_id: (v.created_by_us, v.kept) for v in ec2.find_ebs_volumes_for_instance(aws, "i-1")}
    assert found == {ours: (True, False), theirs: (False, True)}
    assert {v.volume_id for v in ec2.find_volumes(aws)} == {ours, theirs}
    ec2.keep_ebs_volume(aws, ours)
    assert all(v.kept for v in ec2.find_volumes(aws))


def test_deleting_a_volume_that_is_gone_is_fine(aws):
    one = volume(aws, aws_bootstrap_instance="i-1")
    ec2.wait_detached(aws, one, "i-1")
    ec2.delete_ebs_volume(aws, one)
    ec2.delete_ebs_volume(aws, one)
    ec2.wait_detached(aws, one, "i-1")
