"""`costs`: each thing that bills, whose it is, and what it costs. AWS answers in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from aws_bootstrap import ec2
from aws_bootstrap.models import CostItem, ImageSnapshot, OwnImage, Prices, Snapshot, SpotPrice
from aws_bootstrap.models import cost as money
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, REGIONS, make_snapshot, make_volume, owned, start_box
from aws_bootstrap.tests.schema_check import validate
from aws_bootstrap.workflows.box import Box
from aws_bootstrap.workflows.cost_items import Pricing, unknown_costs

EAST, WEST = "us-east-1", "us-west-2"
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
PRICED = "DescribeSpotPriceHistory"
ALICE = "AIDAALICE"

# --- what each thing costs -------------------------------------------------------------------------------

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)
SINCE = NOW - timedelta(hours=73)
PRICE = SpotPrice("g4dn.xlarge", f"{WEST}a", 0.2, NOW)
PRICES = Prices(spot={WEST: {("g4dn.xlarge", f"{WEST}a"): PRICE}}, on_demand={(WEST, "g4dn.xlarge"): 0.526})
PRICING = Pricing(PRICES, CALLER, NOW)
INSTANCE = factories.instance(launch_time=SINCE, public_ip="192.0.2.1", owner=CALLER)
ROOT = factories.volume(
    volume_id="vol-root", size_gb=100, instance_id=None, attached_to="i-1", state="in-use", created=SINCE
)
DATA = factories.volume(state="in-use", created=SINCE, owner=None, created_by_us=False)
SNAPSHOT = Snapshot("snap-1", WEST, 100, "completed", SINCE, owner=CALLER)


def amounts(items: list[CostItem]) -> list[tuple[Any, ...]]:
    return [(one.item, one.id, one.price_per_hour, one.monthly_cost_usd, one.estimated_cost) for one in items]


def image(*snapshots: ImageSnapshot, image_id: str = "ami-1") -> OwnImage:
    return OwnImage(image_id, WEST, "mine", "available", SINCE, snapshots, CALLER)


def test_a_box_costs_its_instance_its_disks_and_its_address():
    """For 73 hours, a tenth of a month."""
    items = PRICING.of_box(Box(INSTANCE, factories.host(alias="aws-gpu3"), (DATA,), ROOT), [ROOT])
    assert amounts(items) == [
        ("instance", "i-1", 0.2, 146.0, 14.6),
        ("root volume", "vol-root", 0.010959, 8.0, 0.8),
        ("data volume", "vol-1", 0.001096, 0.8, 0.08),
        ("public IPv4 address", "192.0.2.1", 0.005, 3.65, 0.365),
    ]
    assert {(one.owner, one.yours, one.instance_id, one.ssh_alias, one.since) for one in items} == {
        (CALLER, True, "i-1", "aws-gpu3", SINCE)
    }, "a brought volume has no owner, and belongs to the box all the same"
    assert [(one.size_gb, one.state) for one in items[1:3]] == [(100, "in-use"), (10, "in-use")]
    assert (items[0].instance_type, items[0].lifecycle, items[0].state) == ("g4dn.xlarge", "spot", "running")


def test_what_a_node_costs_names_its_cluster():
    for cluster in (None, "train"):
        items = PRICING.of_box(Box(replace(INSTANCE, cluster=cluster), volumes=(DATA,)), [ROOT])
        assert {one.cluster for one in items} == {cluster}


def test_a_stopped_box_costs_its_disks_and_nobody_knows_for_how_long_it_ran():
    stopped = factories.instance(state="stopped", lifecycle="on-demand", launch_time=SINCE)
    instance, root = PRICING.of_box(Box(stopped), [ROOT])
    assert amounts([instance, root]) == [
        ("instance", "i-1", 0.0, 0.0, None),
        ("root volume", "vol-root", 0.010959, 8.0, 0.8),
    ]
    reason = "EC2 does not report for how long a stopped instance ran."
    assert unknown_costs(instance) == f"What i-1 has cost so far is unknown: {reason}"
    assert unknown_costs(root) is None


def test_what_is_unknown_is_not_made_up():
    unpriced = factories.instance(instance_type="g5.xlarge", lifecycle="on-demand")
    instance, root = PRICING.of_box(Box(unpriced, factories.host(alias="aws-gpu3")), [])
    assert amounts([instance, root]) == [
        ("instance", "i-1", None, None, None),
        ("root volume", None, None, None, None),
    ]
    assert unknown_costs(instance) == "The on-demand price of aws-gpu3 is unknown, and so is its cost."
    assert unknown_costs(root) == "The root volume of aws-gpu3 was not found, so what it costs a month is unknown."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"volume_type": "io2"}, "costs a month is unknown: its type has no list price by size."),
        ({"size_gb": 0}, "costs a month is unknown: EC2 reported no size."),
        ({"created": None}, "has cost so far is unknown: EC2 did not report when it began."),
    ],
    ids=str,
)
def test_an_unknown_cost_of_a_volume_has_its_reason(changes, reason):
    volume = factories.volume(**{"created": SINCE} | changes)
    item = PRICING.of_volume(volume, is_orphan=True)
    assert item.estimated_cost is None
    assert (item.price_per_hour is None) is (item.monthly_cost_usd is None) is ("created" not in changes)
    assert unknown_costs(item) == f"What the data volume vol-1 {reason}"


def test_volumes_without_a_box():
    def flags(**changes: Any) -> tuple[Any, ...]:
        item = PRICING.of_volume(factories.volume(owner=ALICE, **changes), is_orphan=True)
        return item.item, item.orphan, item.kept, item.owner, item.yours

    assert flags() == ("data volume", True, None, ALICE, False)
    assert flags(kept=True) == ("data volume", True, True, ALICE, False)
    elsewhere = PRICING.of_volume(factories.volume(state="in-use", kept=True), is_orphan=False)
    assert (elsewhere.item, elsewhere.orphan, elsewhere.kept) == ("data volume", None, None)
    assert PRICING.of_volume(factories.volume(instance_id=None), is_orphan=False).item == "volume"


def test_a_snapshot_costs_at_most_the_size_of_its_volume():
    (item,) = PRICING.of_images([], [SNAPSHOT])
    assert amounts([item]) == [("snapshot", "snap-1", 0.006849, 5.0, 0.5)]
    assert item.is_upper_bound
    assert (item.since, item.size_gb, item.state, item.owner, item.yours) == (SINCE, 100, "completed", CALLER, True)
    assert money.snapshot_cost(100, "archive") == 1.25
    assert money.snapshot_cost(100, "of 2030") is None
    assert money.snapshot_cost(0) is None


def test_a_snapshot_behind_images_is_counted_once():
    other = Snapshot("snap-2", WEST, 8, "completed", SINCE)
    images = [
        image(ImageSnapshot("snap-1", 500), ImageSnapshot("snap-untagged", 20)),
        image(ImageSnapshot("snap-1", 500), image_id="ami-2"),
    ]
    items = PRICING.of_images(images, [SNAPSHOT, other])
    assert amounts(items) == [
        ("image", "ami-1", 0.008219, 6.0, 0.6),
        ("image", "ami-2", 0.0, 0.0, 0.0),
        ("snapshot", "snap-2", 0.000548, 0.4, 0.04),
    ], "an image may name a larger volume than its snapshot has"
    assert [one.size_gb for one in items] == [120, 0, 8]


def test_an_image_that_is_being_created_has_no_snapshot_yet():
    (item,) = PRICING.of_images([image()], [])
    assert item.monthly_cost_usd is None
    assert unknown_costs(item) == "What the image ami-1 costs a month is unknown: EC2 reported no size."


# --- what is read ----------------------------------------------------------------------------------------


def test_every_field_of_a_snapshot_is_read(client, stub):
    asked = {"OwnerIds": ["self"], "Filters": [{"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}]}
    whole = {
        "SnapshotId": "snap-1",
        "VolumeSize": 100,
        "State": "completed",
        "StartTime": SINCE,
        "StorageTier": "archive",
        "Tags": owned(ALICE),
    }
    stub.add_response("describe_snapshots", {"Snapshots": [whole], "NextToken": "more"}, asked)
    stub.add_response("describe_snapshots", {"Snapshots": [{"SnapshotId": "snap-2"}]}, asked | {"NextToken": "more"})
    assert ec2.find_snapshots(client) == [
        Snapshot("snap-1", WEST, 100, "completed", SINCE, "archive", ALICE),
        Snapshot("snap-2", WEST, 0, "unknown", None, "standard", None, created_by_us=False),
    ]


def test_every_field_of_an_own_image_is_read(client, stub):
    asked = {
        "Owners": ["self"],
        "Filters": [{"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}],
        "IncludeDisabled": True,
    }
    mappings = [
        {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 100}},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-2"}},
    ]
    whole = {
        "ImageId": "ami-1",
        "Name": "mine",
        "State": "disabled",
        "CreationDate": "2026-01-28T09:00:00.000Z",
        "BlockDeviceMappings": mappings,
        "Tags": owned(ALICE),
    }
    stub.add_response("describe_images", {"Images": [whole, {"ImageId": "ami-2"}]}, asked)
    snapshots = (ImageSnapshot("snap-1", 100), ImageSnapshot("snap-2", 0))
    assert ec2.find_own_images(client) == [
        OwnImage("ami-1", WEST, "mine", "disabled", SINCE, snapshots, ALICE),
        OwnImage("ami-2", WEST, "", "unknown", None, (), None),
    ]


# --- the report ------------------------------------------------------------------------------------------


def make_image(client: Any, instance_id: str, name: str, *, owner: str | None = CALLER, ours: bool = True) -> str:
    """Moto's have a snapshot of 15 GB, without tags."""
    tags = owned(owner) if ours else [{"Key": "Name", "Value": "backup"}]
    specification = [{"ResourceType": "image", "Tags": tags}]
    return client.create_image(InstanceId=instance_id, Name=name, TagSpecifications=specification)["ImageId"]


@pytest.fixture
def priced(cloud):
    """A g4dn.xlarge costs $0.2 an hour on spot, in every zone where boxes of these tests start."""
    history = [
        {"InstanceType": "g4dn.xlarge", "AvailabilityZone": f"{region}a", "SpotPrice": "0.2", "Timestamp": NOW}
        for region in REGIONS
    ]
    cloud.faults.change_answer(PRICED, lambda reply: reply.update(SpotPriceHistory=history))
    cloud.list_price = 0.5
    return cloud


@pytest.fixture
def account(priced, box):
    """Boxes, volumes, snapshots and images, the caller's and Alice's; the ids of the caller's by what they are."""
    west, east = priced.ec2(WEST), priced.ec2(EAST)
    ids = {"spot": box(**SPOT), "on-demand": box(EAST), "stopped": box(WEST)}
    west.stop_instances(InstanceIds=[ids["stopped"]])
    ids["data"] = make_volume(west, ids["spot"], size=100)
    ids["orphan"] = make_volume(east, "i-0gone", size=10)
    ids["kept"] = make_volume(east, "i-0gone", kept=True, size=200)
    ids["snapshot"] = make_snapshot(west)
    ids["image"] = make_image(west, ids["spot"], "mine")
    make_snapshot(west, ours=False)
    make_image(west, ids["spot"], "backup", ours=False)
    ids["alice-box"] = start_box(west, owner=ALICE, **SPOT)["InstanceId"]
    ids["alice-volume"] = make_volume(east, "i-0gone", owner=ALICE, size=50)
    ids["alice-snapshot"] = make_snapshot(east, owner=ALICE)
    ids["unowned"] = make_snapshot(east, owner=None)
    ids["brought"] = make_volume(east, "i-0gone", ours=False, size=1)
    return ids


def shown(done: Any, code: int = 0) -> dict[str, Any]:
    assert done.exit_code == code, done.output
    document = json.loads(done.stdout)
    validate("costs", document)
    return document


OWN = {"spot", "on-demand", "stopped", "data", "orphan", "kept", "snapshot", "image"}


def named(items: list[dict[str, Any]], ids: dict[str, str]) -> set[str]:
    """Which of these ids the items have."""
    names = {identifier: name for name, identifier in ids.items()}
    return {names[item["id"]] for item in items if item["id"] in names}


def test_everything_of_the_caller_is_counted_once_and_the_rest_is_left_out_with_its_price(run, account):
    document = shown(run("costs", "-o", "json"))
    items, left_out = document["items"], document["left_out"]
    assert named(items, account) == OWN
    assert named(left_out, account) == set(account) - OWN
    assert {item["item"] for item in items} == {
        "instance",
        "root volume",
        "data volume",
        "public IPv4 address",
        "snapshot",
        "image",
    }
    identifiers = [item["id"] for item in items]
    assert len(identifiers) == len(set(identifiers)) == 3 * 2 + 3 + 2 + 2, "instances and disks, addresses, the rest"
    assert {item["yours"] for item in items} == {True}
    assert {item["yours"] for item in left_out} == {False}
    assert {item["owner"] for item in left_out} == {ALICE, None}
    hourly = 0.2 + 0.5
    monthly = 3 * 8 * 0.10 + 2 * 3.65 + (100 + 10 + 200) * 0.08 + 20 * 0.05 + 15 * 0.05
    assert document["monthly_cost_usd"] == pytest.approx(hourly * 730 + monthly, abs=0.05)
    assert document["price_per_hour"] == pytest.approx(hourly + monthly / 730, abs=1e-4)
    assert document["regions_queried"] == list(REGIONS)


def test_volumes_without_a_box_are_marked(run, account):
    items = {item["id"]: item for item in shown(run("costs", "-o", "json"))["items"]}
    marks = {name: (items[account[name]].get("orphan"), items[account[name]].get("kept")) for name in OWN}
    assert {name: found for name, found in marks.items() if found != (None, None)} == {
        "orphan": (True, None),
        "kept": (True, True),
    }
    assert items[account["data"]]["instance_id"] == account["spot"]
    assert items[account["data"]]["ssh_alias"] == "aws-gpu1"


def test_a_stopped_box_makes_the_sum_so_far_unknown_and_says_why(run, account):
    document = shown(run("costs", "-o", "json"))
    assert document["estimated_cost"] is None
    warned = [(one["code"], one.get("instance_id")) for one in document["warnings"]]
    assert warned == [("price-unknown", account["stopped"]), ("not-yours", None)]
    assert "so far" in document["warnings"][0]["message"]


def test_everyone_includes_what_others_own(run, account):
    document = shown(run("costs", "--everyone", "-o", "json"))
    assert named(document["items"], account) == set(account)
    assert document["left_out"] == []
    assert "not-yours" not in {one["code"] for one in document["warnings"]}


def test_what_is_left_out_is_said_with_the_command_that_includes_it(run, account):
    document = shown(run("costs", "-r", WEST, "-r", EAST, "--sum", "-o", "json"))
    command = ["aws-bootstrap", "costs", "--region", WEST, "--region", EAST, "--sum", "--everyone"]
    assert [one["argv"] for one in document["next"] if one["do"] == "costs-everyone"] == [command]
    (warning,) = [one for one in document["warnings"] if one["code"] == "not-yours"]
    monthly = 0.2 * 730 + 0.8 + 3.65 + 50 * 0.08 + 2 * 20 * 0.05 + 0.08
    assert (
        f"Left out 7 items that others own, or that have no owner (about ${monthly:.2f} a month)" in warning["message"]
    )
    assert warning["message"].endswith(" ".join(command))


def test_the_sums_alone(run, account):
    whole = shown(run("costs", "-o", "json"))
    sums = shown(run("costs", "--sum", "-o", "json"))
    assert "items" not in sums
    for key in ("price_per_hour", "monthly_cost_usd"):
        assert sums[key] == whole[key]
    text = run("costs", "--sum").stdout
    assert "Costs in all" in text
    assert account["data"] not in text
    table = run("costs", "--sum", "-o", "table").stdout
    assert "USD/month" in table
    assert account["data"] not in table


def test_every_format_has_every_item_and_the_sums(run, account):
    text = run("costs")
    assert text.exit_code == 0
    assert "aws-gpu1" in text.stdout
    assert "kept volume 200 GB" in text.stdout
    assert "snapshot 20 GB, at most" in text.stdout
    assert "Estimates from list prices" in text.stdout
    assert "Of others or without an owner, not in the sums" in text.stdout
    assert "owner: AIDAALICE" in text.stdout
    table = run("costs", "-o", "table").stdout
    for name in account:
        assert account[name] in table
    assert "Left out, not yours" in table
    document = yaml.safe_load(run("costs", "-o", "yaml").stdout)
    assert named(document["items"], account) == OWN


def test_an_unknown_price_is_null_with_a_warning_and_no_failure(run, account, cloud):
    cloud.deny(WEST, PRICED)
    document = shown(run("costs", "-o", "json"))
    (item,) = [one for one in document["items"] if one["id"] == account["spot"]]
    assert (item["price_per_hour"], item["monthly_cost_usd"], item["estimated_cost"]) == (None, None, None)
    assert (document["price_per_hour"], document["monthly_cost_usd"], document["estimated_cost"]) == (None, None, None)
    about = [one.get("instance_id") for one in document["warnings"] if one["code"] == "price-unknown"]
    assert {account["spot"], account["alice-box"]} <= set(about)
    text = run("costs").stdout
    assert "more than" in text
    assert "prices are unknown" in text
    assert "unknown" in run("costs", "-o", "table").stdout


@pytest.mark.parametrize("operation", [None, "DescribeSnapshots", "DescribeImages"])
def test_a_region_that_is_not_read_whole_is_reported_and_there_is_no_sum(run, account, cloud, operation):
    cloud.deny(EAST, operation)
    document = shown(run("costs", "-o", "json"), 3)
    assert [failed["region"] for failed in document["regions_failed"]] == [EAST]
    assert {item["region"] for item in document["items"]} == {WEST}
    assert (document["price_per_hour"], document["monthly_cost_usd"], document["estimated_cost"]) == (None, None, None)
    assert document["error"]["code"] == "region-failed"
    text = run("costs")
    assert text.exit_code == 3
    assert "more than" in text.stdout


def test_where_no_region_is_read_the_command_fails(run, account, cloud):
    cloud.deny(EAST)
    cloud.deny(WEST)
    document = shown(run("costs", "-r", WEST, "-r", EAST, "-o", "json"), 1)
    assert [failed["region"] for failed in document["regions_failed"]] == [WEST, EAST]


def test_without_an_answer_from_sts_what_has_an_owner_is_included(run, account, cloud):
    cloud.deny(WEST, "GetCallerIdentity")
    document = shown(run("costs", "-o", "json"))
    assert named(document["items"], account) == set(account) - {"unowned", "brought"}
    assert "owner-unknown" in {one["code"] for one in document["warnings"]}


def test_a_volume_of_this_tool_is_counted_wherever_it_is_attached(run, cloud):
    """Volumes that `status` knows nothing about: attached to another's instance, or a root volume that was detached."""
    client = cloud.ec2(WEST)
    other = start_box(client, TagSpecifications=[])["InstanceId"]
    moved = make_volume(client, "i-0gone", size=5)
    client.attach_volume(VolumeId=moved, InstanceId=other, Device="/dev/sdf")
    tags = [{"ResourceType": "volume", "Tags": owned(CALLER)}]
    detached = client.create_volume(AvailabilityZone=f"{WEST}a", Size=6, TagSpecifications=tags)["VolumeId"]
    items = shown(run("costs", "-r", WEST, "-o", "json"))["items"]
    assert {(one["id"], one["item"], one.get("orphan")) for one in items} == {
        (moved, "data volume", None),
        (detached, "volume", None),
    }


def test_an_empty_account(run, cloud):
    document = shown(run("costs", "-o", "json"))
    assert (document["items"], document["left_out"]) == ([], [])
    assert (document["price_per_hour"], document["monthly_cost_usd"], document["estimated_cost"]) == (0.0, 0.0, 0.0)
    assert "Nothing bills in 3 regions." in run("costs").stdout
    make_volume(cloud.ec2(WEST), "i-0gone", owner=ALICE)
    assert "Nothing of yours bills in 3 regions." in run("costs").stdout
