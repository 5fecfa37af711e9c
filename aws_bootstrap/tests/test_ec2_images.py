"""Images, instance types and prices (ec2/images.py, ec2/types.py, ec2/prices.py)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import ANY, Stubber

from aws_bootstrap import ec2
from aws_bootstrap.tests import factories

NOW = datetime(2026, 1, 1, tzinfo=UTC)

IMAGE = factories.image()


def test_every_field_of_an_image_is_read(client, stub):
    mappings = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 60}},
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 500}},
        {"DeviceName": "/dev/xvda"},
    ]
    whole = {
        "ImageId": "ami-1",
        "Name": "one",
        "Architecture": "arm64",
        "CreationDate": "2026-01-02",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": mappings,
    }
    plain = {"ImageId": "ami-2", "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]}
    stub.add_response("describe_images", {"Images": [{"ImageId": "ami-3"}, whole, plain]})
    first, second, third = ec2.find_images(client, ["x"])
    assert (first.name, first.architecture, first.creation_date) == ("one", "arm64", "2026-01-02")
    assert (first.root_device, first.root_size_gb) == ("/dev/xvda", 60)
    assert {
        (i.image_id, i.name, i.architecture, i.creation_date, i.root_device, i.root_size_gb) for i in (second, third)
    } == {
        ("ami-2", "", "", "", "/dev/sda1", 8),
        ("ami-3", "", "", "", "/dev/sda1", 0),
    }


def test_login_users_follow_from_the_names_of_images_or_from_their_tag(client, stub):
    wanted = {"Filters": [{"Name": "image-id", "Values": ["ami-1", "ami-2", "ami-3"]}], "IncludeDeprecated": True}
    baked = {"ImageId": "ami-3", "Name": "mine", "Tags": [{"Key": "aws-bootstrap-user", "Value": "me"}]}
    found = [{"ImageId": "ami-1", "Name": "al2023-ami"}, {"ImageId": "ami-2"}, baked]
    stub.add_response("describe_images", {"Images": found}, wanted)
    users = ec2.login_users(client, {"ami-2", "ami-1", "ami-3"})
    assert users == {"ami-1": "ec2-user", "ami-2": "ubuntu", "ami-3": "me"}


def test_every_field_of_a_type_is_read(client, stub):
    gpus = [{"Count": 2, "Name": "L4", "MemoryInfo": {"SizeInMiB": 1}}, {}]
    whole = {
        "InstanceType": "g6.2xlarge",
        "VCpuInfo": {"DefaultVCpus": 8},
        "MemoryInfo": {"SizeInMiB": 2},
        "ProcessorInfo": {"SupportedArchitectures": ["arm64"]},
        "GpuInfo": {"Gpus": gpus},
    }
    wanted = {"Filters": [{"Name": "instance-type", "Values": ["g6*"]}]}
    stub.add_response("describe_instance_types", {"InstanceTypes": [whole, {"InstanceType": "t3.micro"}]}, wanted)
    full, bare = ec2.find_instance_types(client, ["g6*"])
    assert (full.name, full.vcpus, full.memory_mib, full.architectures) == ("g6.2xlarge", 8, 2, ("arm64",))
    assert full.gpu == "2x L4 (1 MiB), ?x unknown (unknown MiB)"
    assert (bare.name, bare.vcpus, bare.memory_mib, bare.architectures, bare.gpu) == ("t3.micro", 0, 0, (), None)


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
    found = ec2.find_images(client, [name])
    assert [image.creation_date for image in found] == sorted(dates, reverse=True)
    newest = ec2.latest_ami(found, ["x86_64"])
    assert newest
    assert newest.image_id == "ami-2026-03-01"


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


def test_spot_prices_are_asked_as_of_now(client, stub):
    wanted = {"InstanceTypes": ["a", "b"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY}
    record = {"InstanceType": "a", "AvailabilityZone": "z", "SpotPrice": "0.5", "Timestamp": NOW}
    broken = [{k: v for k, v in record.items() if k != lacking} for lacking in record]
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": [*broken, record]}, wanted)
    assert ec2.spot_prices(client, []) == {}
    assert [(key, price.price) for key, price in ec2.spot_prices(client, ["b", "a", "b"]).items()] == [
        (("a", "z"), 0.5)
    ]


@pytest.mark.parametrize(("listed", "price"), [(["0.5000", "0.0000", "0.4000"], 0.4), (["0.0000"], None), ([], None)])
def test_the_lowest_price_above_zero_is_the_on_demand_price(listed, price):
    client = boto3.client("pricing", "us-east-1")
    terms = {str(n): {"priceDimensions": {"d": {"pricePerUnit": {"USD": usd}}}} for n, usd in enumerate(listed)}
    fields = {"instanceType": "t", "regionCode": "r", "operatingSystem": "Linux", "preInstalledSw": "NA"}
    fields |= {"tenancy": "Shared", "capacitystatus": "Used", "marketoption": "OnDemand"}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]
    with Stubber(client) as stub:
        reply = {"PriceList": [json.dumps({"terms": {"OnDemand": terms}}), "{}"]}
        stub.add_response("get_products", reply, {"ServiceCode": "AmazonEC2", "Filters": filters})
        assert ec2.on_demand_price(client, "r", "t") == price


def test_the_on_demand_price_is_read_from_the_price_list():
    product = {"terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"pricePerUnit": {"USD": "0.5260000000"}}}}}}}
    wanted = {
        "instanceType": "g4dn.xlarge",
        "regionCode": "us-west-2",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    asked = {"ServiceCode": "AmazonEC2", "Filters": filters}
    pricing = boto3.client("pricing", "us-east-1")
    with Stubber(pricing) as stubber:
        stubber.add_response("get_products", {"PriceList": [json.dumps(product)]}, asked)
        stubber.add_response("get_products", {"PriceList": []})
        assert ec2.on_demand_price(pricing, "us-west-2", "g4dn.xlarge") == 0.526
        assert ec2.on_demand_price(pricing, "us-west-2", "g9.xlarge") is None


def test_a_familys_prices_are_read_page_by_page():
    def product(name: str, *usd: str) -> str:
        terms = {str(n): {"priceDimensions": {"d": {"pricePerUnit": {"USD": price}}}} for n, price in enumerate(usd)}
        return json.dumps({"product": {"attributes": {"instanceType": name}}, "terms": {"OnDemand": terms}})

    pricing = boto3.client("pricing", "us-east-1")
    first = {"PriceList": [product("g5.xlarge", "1.006", "0.9"), product("g5.metal", "0.0")], "NextToken": "more"}
    last = {"PriceList": [product("g5.2xlarge", "1.212"), product("xg5.large", "1"), "{}"]}
    asked = {"ServiceCode": "AmazonEC2", "Filters": ANY}
    with Stubber(pricing) as stubber:
        stubber.add_response("get_products", first, asked)
        stubber.add_response("get_products", last, asked | {"NextToken": "more"})
        assert ec2.on_demand_prices(pricing, "us-west-2", "g5") == {"g5.xlarge": 0.9, "g5.2xlarge": 1.212}


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


@pytest.mark.parametrize(
    ("description", "families"),
    [
        ("Supported EC2 instances: G4dn, G5, P6-B200. Release notes: https://aws.example", ("G4dn", "G5", "P6-B200")),
        ("Canonical, Ubuntu, 24.04", ()),
    ],
)
def test_the_supported_families_are_those_of_the_description(client, stub, description, families):
    stub.add_response("describe_images", {"Images": [{"ImageId": "ami-1", "Description": description}]})
    (image,) = ec2.find_images(client, ["x"])
    assert image.supported_families == families


def test_patterns_of_one_publisher_are_looked_up_at_once(client, stub):
    filters = [{"Name": "name", "Values": ["Deep A*", "Deep B*"]}, {"Name": "state", "Values": ["available"]}]
    stub.add_response("describe_images", {"Images": []}, {"Owners": ["amazon"], "Filters": filters})
    assert ec2.find_images(client, ["Deep A*", "Deep B*"]) == []
