"""`status` at scale: how many calls, and how many at once. Instances without boxes, in every region."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from aws_bootstrap.models import SpotPrice
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.programs import Program
from aws_bootstrap.workflows.inventory import Box
from aws_bootstrap.workflows.status import instance_status

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
        TagSpecifications=[{"ResourceType": "instance", "Tags": OURS}],
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
    assert code == 0 and len(seen["instances"]) == 17 * per_region
    assert all(i["spot_price_per_hour"] > 0 for i in seen["instances"])

    calls = sandbox.log()
    by_region = Counter(c["region"] for c in calls if c["action"] != "DescribeRegions")
    assert len(by_region) == 17 and max(by_region.values()) <= 2 * pages + 1
    assert sum(c["action"] == "DescribeRegions" for c in calls) == 1


def test_all_regions_are_asked_at_the_same_time(many):
    """Each answer is held back for longer than it takes to ask all: had they been asked in turn, none would overlap."""
    sandbox = many.sandbox
    sandbox.wipe()
    sandbox.fault(action="DescribeInstances", do={"delay": 6})
    assert many.json("status")[0] == 0
    in_flight = [c["in_flight"] for c in sandbox.log("DescribeInstances")]
    assert len(in_flight) == 17 and max(in_flight) >= 17


def _pending(sandbox: Sandbox) -> bool:
    state = [{"Name": "instance-state-name", "Values": ["pending"]}]
    return any(sandbox.client(region=r).describe_instances(Filters=state)["Reservations"] for r in regions(sandbox))


# --- what is shown of a box ------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
INSTANCE = factories.instance(launch_time=NOW - timedelta(hours=2, minutes=30))
DATA = factories.volume()


def test_the_estimated_cost_is_the_price_of_an_hour_times_the_hours():
    """mutants.md, `_status`."""
    price = SpotPrice("g4dn.xlarge", "us-west-2a", 0.2, NOW)
    seen = instance_status(Box(INSTANCE, volumes=(DATA,)), {("g4dn.xlarge", "us-west-2a"): price}, NOW)
    assert (seen.uptime_seconds, seen.spot_price_per_hour, seen.estimated_cost) == (9000, 0.2, 0.5)
    assert [v.volume_id for v in seen.ebs_volumes] == ["vol-1"]
