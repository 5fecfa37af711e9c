"""What boxes cost: the arithmetic, the sum that `status` says, and where a newcomer learns a price before paying it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.models import MonthlyCost, Prices
from aws_bootstrap.models import cost as money
from aws_bootstrap.paths import Paths
from aws_bootstrap.sandbox.cloud import catalog, prices
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import OURS, make_volume

REGIONS = ("eu-west-1", "us-west-2")
TYPES = ("g4dn.xlarge", "g5.xlarge")
ROOM = "InsufficientInstanceCapacity"
SPOT = {"InstanceMarketOptions.MarketType": "spot"}


# --- arithmetic ------------------------------------------------------------------------------------------


def test_a_sum_with_an_unknown_part_is_unknown():
    assert money.total([0.1, 0.2]) == 0.3
    assert money.total([]) == 0.0
    assert money.total([0.1, None]) is None
    assert money.known_part([0.1, None]) == 0.1
    assert money.monthly_total([MonthlyCost("root volume", None), money.public_address()]) is None


def test_what_bills_beside_an_instance():
    costs = money.box_costs(money.root_volume_cost(100), [money.data_volume_cost(96)], has_address=True)
    assert [(cost.item, cost.size_gb, cost.monthly_cost_usd) for cost in costs] == [
        ("root volume", 100, 8.0),
        ("data volume", 96, 7.68),
        ("public IPv4 address", None, 3.65),
    ]
    assert money.monthly_total(costs) == 19.33
    without = money.box_costs(money.root_volume_cost(None), [], has_address=False)
    assert without == (MonthlyCost("root volume", None),)


@pytest.mark.parametrize(("volume_type", "cost"), [("gp3", 8.0), ("gp2", 10.0), ("io2", None), ("unknown", None)])
def test_a_volume_costs_what_its_type_costs(volume_type, cost):
    assert money.volume_cost(100, volume_type) == cost
    assert money.data_volume_cost(100, volume_type).monthly_cost_usd == cost


def test_a_volume_whose_size_is_not_reported_has_no_price():
    assert money.volume_cost(0) is None


@pytest.mark.parametrize(("state", "price"), [("running", 0.5), ("pending", 0.5), ("stopped", 0.0), ("unknown", 0.5)])
def test_a_stopped_instance_costs_nothing_an_hour(state, price):
    known = Prices(on_demand={("us-west-2", "g4dn.xlarge"): 0.5})
    instance = factories.instance(lifecycle="on-demand", state=state)
    assert known.of_instance(instance) == price
    so_far = money.cost_so_far(price, 1800, state)
    assert so_far == (None if state == "stopped" else 0.25)


# --- the sandbox -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox without boxes for this file. Its instances run at once."""
    with Sandbox(tmp_path_factory.mktemp("costs") / "sandbox", boxes=False) as sandbox:
        sandbox.timing(pending=0, stopping=0, volume_creating=0)
        for region in REGIONS:
            for code in ("L-3819A6DF", "L-DB2E81BA"):
                sandbox.quota(code, 10_000, region)
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """It, empty and without faults."""
    for name, value in served.variables.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    served.wipe()
    served.clear_faults()
    return served


def run(sandbox: Sandbox, *args: str, input: str | None = None) -> Result:
    return CliRunner().invoke(main, list(args), obj=App(paths=Paths(sandbox.env)), input=input)


# --- the sum of `status` ---------------------------------------------------------------------------------

BOXES = st.fixed_dictionaries(
    {
        "region": st.sampled_from(REGIONS),
        "instance_type": st.sampled_from(TYPES),
        "spot": st.booleans(),
        "root_gb": st.integers(75, 500),
        "data_gb": st.lists(st.integers(1, 900), max_size=2),
        "stopped": st.booleans(),
    }
)
ORPHANS = st.fixed_dictionaries(
    {
        "region": st.sampled_from(REGIONS),
        "size": st.integers(1, 900),
        "ours": st.booleans(),
        "kept": st.booleans(),
    }
)


def start(sandbox: Sandbox, box: dict[str, Any]) -> None:
    """Start a box as a launch does, with its data volumes."""
    client = sandbox.client(region=box["region"])
    image = client.describe_images(Owners=["amazon"])["Images"][0]
    more: dict[str, Any] = {"InstanceMarketOptions": {"MarketType": "spot"}} if box["spot"] else {}
    started = client.run_instances(
        ImageId=image["ImageId"],
        InstanceType=box["instance_type"],
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[
            {"DeviceName": image["RootDeviceName"], "Ebs": {"VolumeSize": box["root_gb"], "VolumeType": "gp3"}}
        ],
        TagSpecifications=[{"ResourceType": one, "Tags": [OURS]} for one in ("instance", "volume")],
        **more,
    )
    instance_id = started["Instances"][0]["InstanceId"]
    for size in box["data_gb"]:
        make_volume(client, instance_id, size=size)
    if box["stopped"] and not box["spot"]:
        client.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})
        client.stop_instances(InstanceIds=[instance_id])
        client.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})


def expected(sandbox: Sandbox) -> tuple[float, float]:
    """What the account costs an hour and a month, from what EC2 describes and the sandbox's prices."""
    now = datetime.now(UTC)
    hourly = 0.0
    monthly = 0.0
    for region in REGIONS:
        client = sandbox.client(region=region)
        for reservation in client.describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("pending", "running"):
                    continue
                if instance.get("InstanceLifecycle") == "spot":
                    zone = instance["Placement"]["AvailabilityZone"]
                    hourly += prices.current(instance["InstanceType"], zone, now).price
                else:
                    hourly += catalog.on_demand_price(instance["InstanceType"], region)
                if "PublicIpAddress" in instance:
                    monthly += 0.005 * 730
        for volume in client.describe_volumes()["Volumes"]:
            monthly += volume["Size"] * 0.08
    return hourly, monthly


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(boxes=st.lists(BOXES, max_size=3), orphans=st.lists(ORPHANS, max_size=3))
def test_the_sum_of_status_is_what_the_account_costs(sandbox, boxes, orphans):
    sandbox.wipe()
    for box in boxes:
        start(sandbox, box)
    for orphan in orphans:
        orphan = dict(orphan)
        make_volume(sandbox.client(region=orphan.pop("region")), "i-0123456789abcdef0", **orphan)
    words = [word for region in REGIONS for word in ("-r", region)]
    shown = json.loads(run(sandbox, "status", *words, "-o", "json").stdout)
    hourly, monthly = expected(sandbox)
    assert shown["price_per_hour"] == pytest.approx(hourly, abs=1e-5)
    assert shown["monthly_cost_usd"] == pytest.approx(monthly, abs=0.01)
    assert len(shown["instances"]) == len(boxes)


def test_the_sum_is_in_text_and_table_too(sandbox):
    start(sandbox, {"region": "us-west-2", "instance_type": "g4dn.xlarge", "spot": False, "root_gb": 100} | STAYS)
    make_volume(sandbox.client(), "i-0123456789abcdef0", kept=True, size=200)
    text = run(sandbox, "status", "-r", "us-west-2").stdout
    assert "Instances         about $0.526 an hour" in text
    assert "Disks, addresses  about $27.65 a month" in text
    table = run(sandbox, "status", "-r", "us-west-2", "-o", "table").stdout
    assert "instances, USD/h                0.526" in table
    assert "disks and addresses, USD/month  27.65" in table


STAYS = {"data_gb": [], "stopped": False}


def test_a_sum_with_unknown_prices_says_so(sandbox):
    start(sandbox, {"region": "us-west-2", "instance_type": "g4dn.xlarge", "spot": False, "root_gb": 100} | STAYS)
    start(sandbox, {"region": "us-west-2", "instance_type": "g4dn.xlarge", "spot": True, "root_gb": 100} | STAYS)
    sandbox.fault(action="GetProducts", do={"error": "AccessDeniedException"})
    done = run(sandbox, "status", "-r", "us-west-2", "-I")
    assert done.exit_code == 0
    assert "an hour; 1 of 2 prices are unknown" in done.stdout
    assert "Price" in done.stdout
    assert "unknown" in run(sandbox, "status", "-r", "us-west-2", "-I").stdout
    assert json.loads(run(sandbox, "status", "-r", "us-west-2", "-o", "json").stdout)["price_per_hour"] is None


# --- before anything bills -------------------------------------------------------------------------------


@pytest.fixture
def no_room(sandbox):
    """EC2 has no spot capacity."""
    sandbox.fault(action="RunInstances", match=SPOT, do={"error": ROOM})
    return sandbox


def test_a_newcomer_learns_the_price_from_four_screens_before_anything_bills(no_room):
    """The list of types, the dry run, the refusal of a limit, and the question about on-demand."""
    spot = min(prices.current("g4dn.xlarge", f"us-west-2{zone}", datetime.now(UTC)).price for zone in "abcd")
    both = f"spot about ${spot:.4f}".rstrip("0") + "/h, on-demand about $0.526/h"
    listed = run(no_room, "list", "instance-types").stdout
    planned = run(no_room, "launch", "--dry-run").stdout
    limited = run(no_room, "launch", "--max-price", "0.01").stderr
    asked: list[str] = []

    class Asking(App):
        """Somebody who reads the question and declines."""

        def accept(self, question, *, yes):
            asked.append(question())
            return False

    declined = CliRunner().invoke(main, ["launch"], obj=Asking(paths=Paths(no_room.env)))
    assert declined.exit_code == 1
    for screen in (listed, planned, asked[0]):
        assert both in screen
        assert "$8.00" in screen
        assert "$3.65" in screen
    assert f"about ${spot:.4f} an hour: --max-price" in limited
    assert no_room.client().describe_instances()["Reservations"] == []
    assert no_room.client().describe_volumes()["Volumes"] == []
