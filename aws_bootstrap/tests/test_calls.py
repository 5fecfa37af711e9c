"""How many calls each command makes: a call more is a round trip more, in every region."""

from __future__ import annotations

from collections import Counter

from aws_bootstrap import quota
from aws_bootstrap.tests.cloud import REGIONS, make_volume

EAST, WEST = "us-east-1", "us-west-2"


def counted(cloud) -> Counter[str]:
    """How often each operation was called since the last time."""
    found = Counter(operation for _, operation in cloud.calls)
    cloud.calls.clear()
    return found


def test_status_reads_a_region_by_three_calls(run, cloud, box):
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    for region in (EAST, WEST):
        make_volume(cloud.ec2(region), box(region, **spot))
        box(region, **spot)
    counted(cloud)
    assert run("status").exit_code == 0
    assert counted(cloud) == {
        "GetCallerIdentity": 1,
        "DescribeInstances": len(REGIONS),
        "DescribeVolumes": len(REGIONS),
        "DescribeSpotPriceHistory": 2,
    }


def test_costs_reads_a_region_at_once_by_one_call_for_each_thing_that_bills(run, cloud, box):
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    for region in (EAST, WEST):
        make_volume(cloud.ec2(region), box(region, **spot))
    box(WEST)
    counted(cloud)
    assert run("costs").exit_code == 0
    assert counted(cloud) == {
        "GetCallerIdentity": 1,
        "DescribeInstances": len(REGIONS),
        "DescribeVolumes": len(REGIONS),
        "DescribeSnapshots": len(REGIONS),
        "DescribeImages": len(REGIONS),
        "DescribeSpotPriceHistory": 2,
        "GetProducts": 1,
    }


def test_quota_show_reads_each_code_once(run, cloud):
    for region in (EAST, WEST):
        for key in quota.quota_keys():
            cloud.quotas.values[region, key.code] = 4.0
    assert run("quota", "show", "-r", EAST, "-r", WEST).exit_code == 0
    assert counted(cloud) == {"GetServiceQuota": 2 * 7}


def test_terminate_looks_at_all_volumes_of_a_region_at_once(run, cloud, box):
    for _ in range(3):
        make_volume(cloud.ec2(WEST), box())
    counted(cloud)
    assert run("terminate", "--yes", "-o", "json").exit_code == 0
    assert counted(cloud) == {
        "GetCallerIdentity": 1,
        "DescribeInstances": 1,
        "DescribeVolumes": 2,
        "TerminateInstances": 1,
        "DeleteVolume": 3,
    }


def test_a_launch_reads_once_and_looks_up_nothing_that_it_has_read(launch, cloud):
    plan = {
        "GetCallerIdentity": 1,
        "DescribeInstanceTypes": 1,
        "DescribeImages": 1,
        "DescribeVpcs": 1,
        "DescribeSecurityGroups": 1,
        "DescribeKeyPairs": 1,
        "DescribeSpotPriceHistory": 1,
        "GetProducts": 1,
    }
    assert launch("--dry-run")[0] == 0
    assert counted(cloud) == plan | {"DescribeInstances": 1}
    assert launch()[0] == 0
    first = {"ImportKeyPair": 1, "CreateSecurityGroup": 1, "AuthorizeSecurityGroupIngress": 1, "RunInstances": 1}
    assert counted(cloud) == plan | first | {"DescribeInstances": 2}
    assert launch()[0] == 0
    assert counted(cloud) == plan | {"RunInstances": 1, "DescribeInstances": 2}
