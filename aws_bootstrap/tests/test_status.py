"""`status`, row by row: what is shown of a box and of a volume, and what is warned of. AWS answers in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aws_bootstrap import output
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.errors import BootstrapError, SshError
from aws_bootstrap.gpu import GpuInfo
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.models import (
    InstanceStatus,
    MonthlyCost,
    Notice,
    OrphanVolume,
    Prices,
    RegionFailure,
    SpotPrice,
    StatusReport,
    VolumeStatus,
)
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, REGIONS, make_volume, start_box
from aws_bootstrap.workflows.box import Box
from aws_bootstrap.workflows.status import gather, instance_status

EAST, WEST = "us-east-1", "us-west-2"
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
DENIED = "You are not authorized to perform this operation."
PRICED = "DescribeSpotPriceHistory"

# --- one box ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LAUNCHED = NOW - timedelta(hours=2, minutes=30)
INSTANCE = factories.instance(launch_time=LAUNCHED, public_ip="192.0.2.1")
DATA = factories.volume(state="in-use")
ROOT = factories.volume(volume_id="vol-root", size_gb=100, instance_id=None, attached_to="i-1", state="in-use")
SPOT_PRICE = SpotPrice("g4dn.xlarge", f"{WEST}a", 0.123456, NOW)
PRICES = Prices(spot={WEST: {("g4dn.xlarge", f"{WEST}a"): SPOT_PRICE}}, on_demand={(WEST, "g4dn.xlarge"): 0.526})
ROW = InstanceStatus(
    instance_id="i-1",
    region=WEST,
    state="running",
    instance_type="g4dn.xlarge",
    public_ip="192.0.2.1",
    ssh_alias="aws-gpu3",
    lifecycle="spot",
    availability_zone=f"{WEST}a",
    launch_time=LAUNCHED,
    uptime_seconds=9000,
    ebs_volumes=(VolumeStatus("vol-1", 10, "/data", "in-use"),),
    spot_price_per_hour=0.123456,
    estimated_cost=0.3086,
    price_per_hour=0.123456,
    monthly_cost_usd=12.45,
    monthly_costs=(
        MonthlyCost("root volume", 8.0, 100),
        MonthlyCost("data volume", 0.8, 10),
        MonthlyCost("public IPv4 address", 3.65),
    ),
    yours=False,
    user="me",
)
UNPRICED = {"spot_price_per_hour": None, "estimated_cost": None, "price_per_hour": None}
STOPPED = UNPRICED | {"price_per_hour": 0.0, "uptime_seconds": None}


def test_everything_that_is_shown_of_a_box():
    host = factories.host(alias="aws-gpu3", user="me")
    assert instance_status(Box(INSTANCE, host, (DATA,), ROOT), PRICES, NOW) == ROW
    bare = instance_status(Box(replace(INSTANCE, public_ip=None), root=ROOT), PRICES, NOW)
    assert (bare.ssh_alias, bare.user, bare.ebs_volumes) == (None, "ubuntu", ())
    assert (bare.monthly_cost_usd, bare.monthly_costs) == (8.0, (MonthlyCost("root volume", 8.0, 100),))


def test_a_root_volume_that_was_not_found_makes_the_sum_unknown():
    seen = instance_status(Box(INSTANCE, volumes=(DATA,)), PRICES, NOW)
    assert seen.monthly_cost_usd is None
    assert seen.monthly_costs[:2] == (MonthlyCost("root volume", None), MonthlyCost("data volume", 0.8, 10))


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        (
            {"lifecycle": "on-demand"},
            {"spot_price_per_hour": None, "estimated_cost": 1.315, "price_per_hour": 0.526},
        ),
        ({"lifecycle": "on-demand", "instance_type": "g5.xlarge"}, UNPRICED),
        ({"state": "stopping"}, STOPPED),
        ({"state": "stopped", "lifecycle": "on-demand"}, STOPPED),
        ({"state": "pending"}, {}),
        ({"availability_zone": f"{WEST}b"}, UNPRICED),
        ({"launch_time": None}, {"uptime_seconds": None, "estimated_cost": None}),
        ({"launch_time": NOW + timedelta(hours=1)}, {"uptime_seconds": 0, "estimated_cost": 0.0}),
        ({"launch_time": NOW}, {"uptime_seconds": 0, "estimated_cost": 0.0}),
    ],
    ids=str,
)
def test_what_is_not_known_of_a_box_is_not_made_up(changes, row):
    """This machine's clock may be behind EC2's: no box runs for less than no time."""
    seen = instance_status(
        Box(replace(INSTANCE, **changes), factories.host(alias="aws-gpu3", user="me"), (DATA,), ROOT), PRICES, NOW
    )
    assert seen == replace(ROW, **(changes | row))


# --- the report ------------------------------------------------------------------------------------------


def warned(report: StatusReport) -> set[Notice]:
    return set(output.with_warnings(report).warnings)


@pytest.fixture(autouse=True)
def no_warnings():
    """None of an earlier test."""
    output.use(Console(OutputFormat.JSON))


@pytest.fixture
def priced(cloud):
    """A g4dn.xlarge costs $0.2 an hour in every zone where boxes of these tests start."""
    zones = [f"{region}a" for region in REGIONS]
    history = [
        {"InstanceType": "g4dn.xlarge", "AvailabilityZone": zone, "SpotPrice": "0.2", "Timestamp": NOW}
        for zone in zones
    ]
    cloud.faults.change_answer(PRICED, lambda reply: reply.update(SpotPriceHistory=history))
    cloud.list_price = 0.5


def test_the_report_of_an_empty_account(app, cloud):
    report = gather(app, [])
    assert report == StatusReport((), REGIONS, (), (), 0.0, 0.0)
    assert gather(app, [WEST, WEST]) == replace(report, regions_queried=(WEST,))
    assert warned(report) == set()
    assert PRICED not in {operation for _, operation in cloud.calls}


def test_volumes_whose_box_is_gone_are_reported_with_what_they_cost(app, cloud):
    client = cloud.ec2(WEST)
    left, kept = make_volume(client, "i-0gone", size=7), make_volume(client, "i-0gone", kept=True)
    brought = make_volume(client, "i-0other", ours=False, size=1)
    orphans = {o.volume_id: o for o in gather(app, [WEST]).orphan_volumes}
    assert orphans == {
        left: OrphanVolume(left, WEST, 7, 0.56, "i-0gone", None, CALLER, yours=True, created_by_us=True),
        kept: OrphanVolume(kept, WEST, 8, 0.64, "i-0gone", True, CALLER, yours=True, created_by_us=True),
        brought: OrphanVolume(brought, WEST, 1, 0.08, "i-0other", None, created_by_us=False),
    }


def test_prices_are_read_once_a_region_for_spot_boxes_that_run(app, cloud, box, priced):
    spot, other = box(**SPOT), box(EAST)
    stopped = box("eu-west-1", InstanceType="m5.large", **SPOT)
    cloud.ec2("eu-west-1").stop_instances(InstanceIds=[stopped])
    box(EAST, InstanceType="m5.large")
    report = gather(app, [])
    prices = {i.instance_id: i.spot_price_per_hour for i in report.instances}
    assert prices[spot] == 0.2
    assert prices[other] is None is prices[stopped]
    assert warned(report) == set()
    assert [region for region, operation in cloud.calls if operation == PRICED] == [WEST]


def test_a_price_that_cannot_be_read_is_warned_of_by_region_and_by_box(app, cloud, box):
    named, nameless = box(**SPOT), start_box(cloud.ec2(WEST), **SPOT)["InstanceId"]
    on_demand = box()
    cloud.deny(WEST, PRICED)
    report = gather(app, [WEST])
    known = {i.instance_id: (i.price_per_hour, i.spot_price_per_hour) for i in report.instances}
    assert known == {named: (None, None), nameless: (None, None), on_demand: (0.526, None)}
    assert report.price_per_hour is None, "a sum of some boxes would look like that of all"
    assert report.monthly_cost_usd == 13.35, "three root volumes of 8 GB gp2, three addresses"
    unknown = "The spot price of {} is unknown, and so is its cost."
    assert warned(report) == {
        Notice("price-unknown", f"Could not read the spot prices in {WEST}: {DENIED}", region=WEST),
        Notice("price-unknown", unknown.format("aws-gpu1"), named, WEST),
        Notice("price-unknown", unknown.format(nameless), nameless, WEST),
    }


def test_an_on_demand_price_that_cannot_be_read_is_warned_of_by_region_and_by_box(app, cloud, box, priced):
    spot, on_demand = box(**SPOT), box()
    cloud.deny("us-east-1", "GetProducts")
    report = gather(app, [WEST])
    assert {i.instance_id: i.price_per_hour for i in report.instances} == {spot: 0.2, on_demand: None}
    assert warned(report) == {
        Notice("price-unknown", f"Could not read the on-demand prices in {WEST}: {DENIED}", region=WEST),
        Notice("price-unknown", "The on-demand price of aws-gpu2 is unknown, and so is its cost.", on_demand, WEST),
    }


def test_a_region_that_is_not_read_is_reported(app, cloud, box):
    instance_id = box()
    cloud.deny(EAST)
    report = gather(app, [])
    assert [i.instance_id for i in report.instances] == [instance_id]
    assert (report.regions_queried, report.regions_failed) == (REGIONS, (RegionFailure(EAST, DENIED),))
    assert (report.price_per_hour, report.monthly_cost_usd) == (None, None), "what is there may bill"


def test_where_no_region_is_read_each_has_its_reason(app, cloud):
    cloud.fail("DescribeInstances", "RequestExpired", region=EAST)
    cloud.fail("DescribeInstances", "OptInRequired", region=WEST)
    with pytest.raises(BootstrapError) as caught:
        gather(app, [EAST, WEST])
    failed = (
        RegionFailure(EAST, "Your AWS credentials have expired, or this machine's clock is wrong."),
        RegionFailure(WEST, "EC2 said OptInRequired."),
    )
    assert caught.value.result == StatusReport((), (EAST, WEST), failed, ())


def test_where_the_only_region_is_not_read_it_has_the_errors_own_words(app, cloud):
    cloud.deny(WEST)
    with pytest.raises(BootstrapError) as caught:
        gather(app, [WEST])
    failed = (RegionFailure(WEST, DENIED),)
    assert caught.value.result == StatusReport((), (WEST,), failed, ())


# --- GPUs ------------------------------------------------------------------------------------------------

T4 = GpuInfo("Tesla T4", "Turing", "12.4", "12.9", "575.1")


class Told:
    """Boxes whose GPU is told, or the error of asking for it, by alias; who was asked."""

    def __init__(self, **answers) -> None:
        self.answers = {alias.replace("_", "-"): answer for alias, answer in answers.items()}
        self.asked: list[str] = []

    def query_box(self, alias: str):
        """Tell it."""
        self.asked.append(alias)
        answer = self.answers[alias]
        if isinstance(answer, Exception):
            raise answer
        return answer, None


def test_each_running_box_is_asked_for_its_gpu(app, cloud, box):
    first, without, stopped = box(), box(EAST), box()
    cloud.ec2(WEST).stop_instances(InstanceIds=[stopped])
    app.ssh = Told(aws_gpu1=T4, aws_gpu2=None)
    report = gather(app, [], gpu=True)
    assert {i.instance_id: i.gpu for i in report.instances} == {first: T4, without: None, stopped: None}
    assert sorted(app.ssh.asked) == ["aws-gpu1", "aws-gpu2"]
    assert warned(report) == set()
    assert all(i.gpu is None for i in gather(app, []).instances), "nobody wished for it"
    assert len(app.ssh.asked) == 2, "nobody wished for it"


def test_a_box_that_does_not_tell_its_gpu_is_warned_of(app, cloud, box, my_address):
    """None of these boxes lets this machine in, but only of one does that explain the silence."""
    slow, shut, nameless = box(), box(EAST), start_box(cloud.ec2(WEST))["InstanceId"]
    app.ssh = Told(
        aws_gpu1=SshError("No answer.", code="ssh-timeout"), aws_gpu2=SshError("Refused.", code="ssh-refused")
    )
    report = gather(app, [], gpu=True)
    no_alias = (
        f"Could not query the GPU of {nameless}, which has no alias on this machine. Add one: {PROGRAM} cleanup --sync"
    )
    not_let_in = (
        f"The security group of aws-gpu1 does not allow SSH from your address {my_address}. "
        f"Allow only this address: {PROGRAM} access aws-gpu1 --ssh-cidr me"
    )
    assert {i.gpu for i in report.instances} == {None}
    assert warned(report) == {
        Notice("gpu-unknown", "Could not query the GPU of aws-gpu1: No answer.", slow, WEST),
        Notice("address-not-allowed", not_let_in, slow, WEST),
        Notice("gpu-unknown", "Could not query the GPU of aws-gpu2: Refused.", shut, EAST),
        Notice("no-alias", no_alias, nameless, WEST),
    }


def test_the_estimated_cost_is_the_price_of_an_hour_times_the_hours():
    """mutants.md, `_status`."""
    price = SpotPrice("g4dn.xlarge", "us-west-2a", 0.2, NOW)
    prices = Prices(spot={WEST: {("g4dn.xlarge", "us-west-2a"): price}})
    seen = instance_status(Box(INSTANCE, volumes=(DATA,)), prices, NOW)
    assert (seen.uptime_seconds, seen.spot_price_per_hour, seen.estimated_cost) == (9000, 0.2, 0.5)
    assert [v.volume_id for v in seen.ebs_volumes] == ["vol-1"]


# --- one line a box, or all of it ------------------------------------------------------------------------


def test_a_box_has_one_line_unless_it_is_named(run, app, cloud, box):
    first, second = box(WEST), box(EAST)
    brief = run("status").stdout
    for number, instance_id in enumerate((first, second), 1):
        (line,) = [line for line in brief.splitlines() if f"aws-gpu{number}  running" in line]
        assert "g4dn.xlarge  on-demand" in line
        assert instance_id not in line
    assert "Address" not in brief
    full = run("status", "aws-gpu2").stdout
    assert second in full
    assert first not in full
    assert "Address" in full
    assert "aws-bootstrap terminate aws-gpu2" in full
    assert run("status", "-I").stdout.count("Address  ") == 2


def test_a_named_box_alone_is_in_the_document_with_what_belongs_to_it(run, cloud, box):
    instance_id = box(WEST)
    box(WEST)
    make_volume(cloud.ec2(WEST), "i-0gone")
    document = json.loads(run("status", instance_id, "-o", "json").stdout)
    assert [one["instance_id"] for one in document["instances"]] == [instance_id]
    assert document["orphan_volumes"] == []
    assert document["regions_queried"] == [WEST]


def test_a_named_box_that_has_ended_says_why(run, cloud, box):
    instance_id = box(WEST)
    cloud.ec2(WEST).terminate_instances(InstanceIds=[instance_id])
    volume_id = make_volume(cloud.ec2(WEST), instance_id)
    document = json.loads(run("status", "aws-gpu1", "-o", "json").stdout)
    assert document["instances"] == []
    assert [one["instance_id"] for one in document["ended"]] == [instance_id]
    assert [one["volume_id"] for one in document["orphan_volumes"]] == [volume_id]


def test_a_name_that_no_box_has_is_not_found(run, cloud):
    done = run("status", "aws-gpu9", "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "not-found"


def test_a_line_says_when_the_box_ends(run, cloud, box):
    tags = {"aws-bootstrap-idle-timeout": "3600"}
    instance_id = box(WEST)
    cloud.ec2(WEST).create_tags(Resources=[instance_id], Tags=[{"Key": key, "Value": tags[key]} for key in tags])
    assert "ends when idle for 1 h 0 min" in run("status").stdout
