"""What the account has: regions, images, prices, quotas, identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from aws_bootstrap.sandbox.cloud import catalog, prices

from .conftest import image, launch, refused

GVT_SPOT, GVT_ON_DEMAND, P_SPOT, P5_SPOT = "L-3819A6DF", "L-DB2E81BA", "L-7212CCBC", "L-C4BD4855"


# --- regions and keys -------------------------------------------------------------------------------------------


def test_the_regions_are_those_every_account_has(ec2):
    """https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"""
    found = ec2.describe_regions()["Regions"]
    assert len(found) == 17
    assert {one["OptInStatus"] for one in found} == {"opt-in-not-required"}
    every = ec2.describe_regions(AllRegions=True)["Regions"]
    assert "not-opted-in" in {one["OptInStatus"] for one in every}
    assert not any(one["RegionName"].startswith(("cn-", "us-gov-")) for one in every)


def test_an_unknown_region_is_refused(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html"""
    assert refused(ec2.describe_regions, RegionNames=["mars-north-1"]) == "InvalidParameterValue"
    assert refused(cloud.client(region="af-south-1").describe_instances) == "AuthFailure"


def test_every_region_has_a_default_vpc(cloud):
    """https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html"""
    for region in catalog.REGIONS:
        found = cloud.client(region=region).describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        assert [one["CidrBlock"] for one in found["Vpcs"]] == ["172.31.0.0/16"]


def test_another_key_is_refused(cloud, monkeypatch):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (AuthFailure)"""
    import boto3

    endpoint = f"http://127.0.0.1:{cloud.port}"
    other = boto3.client("ec2", "us-west-2", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="y")
    assert refused(other.describe_instances) == "AuthFailure"


def test_sts_and_iam_know_the_caller(cloud):
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html and SimulatePrincipalPolicy"""
    who = cloud.client("sts").get_caller_identity()
    assert who["Account"] == catalog.ACCOUNT
    answer = cloud.client("iam").simulate_principal_policy(PolicySourceArn=who["Arn"], ActionNames=["ec2:RunInstances"])
    assert [one["EvalDecision"] for one in answer["EvaluationResults"]] == ["allowed"]


# --- images -----------------------------------------------------------------------------------------------------


def test_deep_learning_images_of_several_dates(ec2):
    """https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html"""
    wanted = [{"Name": "name", "Values": ["Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) *"]}]
    found = ec2.describe_images(Owners=["amazon"], Filters=wanted)["Images"]
    assert len(found) == 4
    for one in found:
        assert one["CreationDate"][:10].replace("-", "") == one["Name"][-8:]
        assert (one["Architecture"], one["State"]) == ("x86_64", "available")


def test_an_image_has_another_id_in_each_region(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instances-and-amis.html: an AMI is of one region"""
    assert image(ec2) != image(cloud.client(region="eu-west-1"))


def test_the_public_parameter_names_the_newest_image(cloud, ec2):
    """https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html"""
    name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    assert cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == image(ec2)
    assert refused(cloud.client("ssm").get_parameter, Name="/nothing") == "ParameterNotFound"


def test_gpu_types_tell_their_gpus(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html (GpuInfo)"""
    wanted = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge", "p4d.24xlarge", "p5.48xlarge"]
    found = ec2.describe_instance_types(InstanceTypes=wanted)["InstanceTypes"]
    named = {one["InstanceType"]: one["GpuInfo"]["Gpus"][0]["Name"] for one in found}
    assert set(named) == set(wanted)
    assert named["g4dn.xlarge"] == "T4"


# --- prices -----------------------------------------------------------------------------------------------------


def test_the_price_in_force_comes_for_each_zone(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html (StartTime)"""
    now = datetime.now(UTC)
    rows = _history(ec2, StartTime=now)
    assert len({row["AvailabilityZone"] for row in rows}) == len(rows) >= 3
    assert all(row["Timestamp"] <= now for row in rows)
    assert all(0.1 < float(row["SpotPrice"]) < catalog.ON_DEMAND["g4dn.xlarge"] for row in rows)


def test_a_week_of_prices_in_one_zone(ec2):
    start = datetime.now(UTC) - timedelta(days=7)
    rows = _history(ec2, StartTime=start, AvailabilityZone="us-west-2b")
    times = [row["Timestamp"] for row in rows]
    assert {row["AvailabilityZone"] for row in rows} == {"us-west-2b"}
    assert 20 < len(rows) < 40
    assert times == sorted(times, reverse=True)
    assert times[-1] <= start < times[-2]
    assert len({row["SpotPrice"] for row in rows}) > 10


def test_prices_come_in_pages(ec2):
    first = ec2.describe_spot_price_history(InstanceTypes=["g4dn.xlarge"], MaxResults=5)
    second = ec2.describe_spot_price_history(InstanceTypes=["g4dn.xlarge"], MaxResults=5, NextToken=first["NextToken"])
    assert len(first["SpotPriceHistory"]) == len(second["SpotPriceHistory"]) == 5
    assert first["SpotPriceHistory"] != second["SpotPriceHistory"]


def test_only_known_products_and_filters(ec2):
    assert _history(ec2, ProductDescriptions=["Windows"], MaxResults=5) == []
    wrong = {"Filters": [{"Name": "colour", "Values": ["red"]}]}
    assert refused(ec2.describe_spot_price_history, **wrong) == "InvalidParameterValue"


def test_prices_depend_on_nothing_but_type_zone_and_time():
    when = datetime(2026, 11, 1, tzinfo=UTC)
    assert prices.current("g5.xlarge", "us-west-2a", when) == prices.current("g5.xlarge", "us-west-2a", when)
    assert prices.current("g5.xlarge", "us-west-2a", when) != prices.current("g5.xlarge", "us-west-2b", when)


def test_the_price_list_has_gpu_types(cloud):
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html"""
    filters = [
        {"Type": "TERM_MATCH", "Field": "instanceType", "Value": "g4dn.xlarge"},
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"},
    ]
    found = cloud.client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    terms = json.loads(found[0])["terms"]["OnDemand"]
    dimension = next(iter(next(iter(terms.values()))["priceDimensions"].values()))
    assert float(dimension["pricePerUnit"]["USD"]) == 0.526


def test_the_price_list_has_the_types_whose_name_contains_a_word(cloud):
    """https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_Filter.html"""
    pricing = cloud.client("pricing", "us-east-1")

    def names(match: str, value: str) -> list[str]:
        filters = [{"Type": match, "Field": "instanceType", "Value": value}]
        found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
        return [json.loads(product)["product"]["attributes"]["instanceType"] for product in found]

    assert names("CONTAINS", "g4dn.") == [name for name in catalog.ON_DEMAND if "g4dn." in name]
    assert names("EQUALS", "g4dn.metal") == ["g4dn.metal"]
    assert names("TERM_MATCH", "g4dn.") == []


def test_placement_scores_rank_regions(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html"""
    answer = ec2.get_spot_placement_scores(InstanceTypes=["g4dn.xlarge"], TargetCapacity=1, MaxResults=10)
    scores = [one["Score"] for one in answer["SpotPlacementScores"]]
    assert scores == sorted(scores, reverse=True)
    assert all(1 <= score <= 10 for score in scores)


def test_placement_scores_of_zones_name_them_by_their_id(ec2):
    """The same page: SingleAvailabilityZone; no more than ten regions; low scores for less than three types."""
    asked = {"TargetCapacity": 1, "SingleAvailabilityZone": True, "RegionNames": ["us-west-2"]}
    three = ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]
    scored = ec2.get_spot_placement_scores(InstanceTypes=three, **asked)["SpotPlacementScores"]
    ids = {zone["ZoneId"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {one["AvailabilityZoneId"] for one in scored} == ids
    assert max(one["Score"] for one in scored) > 3
    low = ec2.get_spot_placement_scores(InstanceTypes=three[:1], **asked)["SpotPlacementScores"]
    assert all(one["Score"] <= 3 for one in low)
    many = asked | {"RegionNames": list(catalog.REGIONS)[:11]}
    assert refused(ec2.get_spot_placement_scores, InstanceTypes=three, **many) == "InvalidParameterValue"


# --- quotas -----------------------------------------------------------------------------------------------------


@pytest.fixture
def quotas(cloud):
    return cloud.client("service-quotas")


def test_quotas_are_reported_applied_and_default(cloud, quotas):
    """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html"""
    asked = {"ServiceCode": "ec2", "QuotaCode": GVT_SPOT}
    cloud.quota(GVT_SPOT, 8)
    assert quotas.get_service_quota(**asked)["Quota"]["Value"] == 8
    assert quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"] == 0
    assert refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000") == "NoSuchResourceException"


def test_some_regions_do_not_know_the_p5_code(cloud, quotas):
    """AWS has been folding the P5 spot quota into P (the contract, §6)."""
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=P5_SPOT)
    elsewhere = cloud.client("service-quotas", "us-west-1")
    assert refused(elsewhere.get_service_quota, ServiceCode="ec2", QuotaCode=P5_SPOT) == "NoSuchResourceException"
    listed = elsewhere.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert P_SPOT in {one["QuotaCode"] for one in listed}
    assert P5_SPOT not in {one["QuotaCode"] for one in listed}


@pytest.mark.parametrize(
    ("code", "market", "refusal"),
    [
        (GVT_SPOT, {"InstanceMarketOptions": {"MarketType": "spot"}}, "MaxSpotInstanceCountExceeded"),
        (GVT_ON_DEMAND, {}, "VcpuLimitExceeded"),
    ],
)
def test_vcpu_quotas_hold(cloud, ec2, code, market, refusal):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html and using-spot-limits.html"""
    cloud.quota(code, 8)
    first, _ = launch(ec2, **market), launch(ec2, **market)
    wanted = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1, **market}
    assert refused(ec2.run_instances, **wanted) == refusal
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    launch(ec2, **market)


def test_an_increase_is_asked_for_once_and_granted_by_hand(cloud, quotas):
    """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_RequestServiceQuotaIncrease.html"""
    asked = {"ServiceCode": "ec2", "QuotaCode": GVT_SPOT}
    assert refused(quotas.request_service_quota_increase, **asked, DesiredValue=1.0) == "IllegalArgumentException"
    made = quotas.request_service_quota_increase(**asked, DesiredValue=128.0)["RequestedQuota"]
    assert made["Status"] == "PENDING"
    again = refused(quotas.request_service_quota_increase, **asked, DesiredValue=256.0)
    assert again == "ResourceAlreadyExistsException"
    cloud.decide(made["Id"])
    assert quotas.get_service_quota(**asked)["Quota"]["Value"] == 128
    history = quotas.list_requested_service_quota_change_history(ServiceCode="ec2", Status="APPROVED")
    assert [one["Id"] for one in history["RequestedQuotas"]] == [made["Id"]]


def _history(ec2, **asked):
    return ec2.describe_spot_price_history(InstanceTypes=["g4dn.xlarge"], **asked)["SpotPriceHistory"]
