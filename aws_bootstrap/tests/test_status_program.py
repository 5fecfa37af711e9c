"""`status` as users run it: how many calls and how many at once, and what a partial view shows."""

from __future__ import annotations

from collections import Counter

import pytest

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.programs import Program

OURS = [{"Key": "created-by", "Value": "aws-bootstrap-g4dn"}]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("many"), boxes=False) as sandbox:
        yield Program(sandbox)


def start(sandbox: Sandbox, region: str, count: int) -> None:
    client = sandbox.client(region=region)
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    client.run_instances(
        ImageId=image,
        InstanceType="g4dn.xlarge",
        MinCount=count,
        MaxCount=count,
        InstanceMarketOptions={"MarketType": "spot"},
        TagSpecifications=[{"ResourceType": one, "Tags": OURS} for one in ("instance", "volume")],
    )


def regions(sandbox: Sandbox) -> list[str]:
    return [r["RegionName"] for r in sandbox.client().describe_regions()["Regions"]]


def lift_quotas(sandbox: Sandbox) -> None:
    for region in regions(sandbox):
        sandbox.quota("L-3819A6DF", 100_000, region)


@pytest.mark.parametrize(("per_region", "pages"), [(6, 1), (30, 1)], ids=["100", "500"])
def test_calls_grow_with_regions_not_with_instances(many, per_region, pages, wait_for):
    sandbox = many.sandbox
    sandbox.wipe()
    lift_quotas(sandbox)
    for region in regions(sandbox):
        start(sandbox, region, per_region)
    wait_for(lambda: not _pending(sandbox))
    sandbox.clear_log()
    code, seen = many.json("status", "--no-instructions")
    assert code == 0
    assert len(seen["instances"]) == 17 * per_region
    assert all(i["spot_price_per_hour"] > 0 for i in seen["instances"])

    calls = sandbox.log()
    once = ("DescribeRegions", "GetCallerIdentity")
    by_region = Counter(c["region"] for c in calls if c["action"] not in once)
    assert len(by_region) == 17
    assert max(by_region.values()) <= 2 * pages + 1
    assert sorted(c["action"] for c in calls if c["action"] in once) == sorted(once)


def test_all_regions_are_asked_at_the_same_time(many):
    """Each answer is held back for longer than it takes to ask all: had they been asked in turn, none would overlap."""
    sandbox = many.sandbox
    sandbox.wipe()
    sandbox.fault(action="DescribeInstances", do={"delay": 6})
    assert many.json("status")[0] == 0
    in_flight = [c["in_flight"] for c in sandbox.log("DescribeInstances")]
    assert len(in_flight) == 17
    assert max(in_flight) >= 17


def _pending(sandbox: Sandbox) -> bool:
    state = [{"Name": "instance-state-name", "Values": ["pending"]}]
    return any(sandbox.client(region=r).describe_instances(Filters=state)["Reservations"] for r in regions(sandbox))


# --- what is shown of a box ------------------------------------------------------------------------------


def test_a_region_that_cannot_be_read_is_unknown_not_empty(program):
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "UnauthorizedOperation"})
    code, status = program.json("status")
    assert code == 3
    assert [f["region"] for f in status["regions_failed"]] == ["eu-west-1"]
    assert status["error"]["code"] == "region-failed"
    assert "eu-west-1" in status["error"]["message"]


def test_every_regions_reason_is_reported_when_all_fail(program):
    program.sandbox.fault(action="DescribeInstances", region="us-west-2", do={"error": "UnauthorizedOperation"})
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "AuthFailure"})
    code, failed = program.json("status", "-r", "us-west-2", "-r", "eu-west-1")
    assert code == 1
    assert [f["region"] for f in failed["regions_failed"]] == ["us-west-2", "eu-west-1"]
    assert len({r["reason"] for r in failed["error"]["regions"]}) == 2


def test_a_box_is_shown_without_a_price_that_cannot_be_known(program):
    program.json("launch", "--no-setup")
    program.sandbox.fault(action="DescribeSpotPriceHistory", do={"error": "UnauthorizedOperation"})
    code, seen = program.json("status", "-r", "us-west-2")
    assert code == 0
    assert len(seen["instances"]) == 1
    assert "spot_price_per_hour" not in seen["instances"][0]
