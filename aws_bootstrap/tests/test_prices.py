"""`prices`, and `launch --cheapest` by its prices, against a sandbox without boxes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.models import InstanceType, SpotPrice, TypePrice
from aws_bootstrap.paths import Paths
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.views.prices import bars
from aws_bootstrap.workflows.launch import cheapest
from aws_bootstrap.workflows.launch.capacity import Policy

EAST, WEST, FAR = "us-east-1", "us-west-2", "sa-east-1"
GVT_SPOT = "L-3819A6DF"
DENIED = {"error": "UnauthorizedOperation", "message": "You are not authorized to perform this operation."}
NO_ROOM = {"error": "InsufficientInstanceCapacity", "message": "There is no capacity."}


class Program:
    """The program in this process, and its sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.app = App(paths=Paths(sandbox.env))

    def __call__(self, *args: str) -> Result:
        return CliRunner().invoke(main, list(args), obj=self.app)

    def document(self, *args: str, exit_code: int = 0) -> Any:
        """The command's JSON document."""
        done = self(*args, "-o", "json")
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout)

    def calls(self) -> list[str]:
        """The names of the calls since the sandbox was emptied."""
        return sorted(call["action"] for call in self.sandbox.log())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Sandbox(tmp_path_factory.mktemp("prices") / "sandbox", boxes=False) as sandbox:
        yield Program(sandbox)


@pytest.fixture
def program(served: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """An empty one, without faults."""
    for name, value in served.sandbox.variables.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    served.sandbox.wipe()
    served.sandbox.clear_faults()
    return served


def codes(document: Any) -> list[str]:
    return [warning["code"] for warning in document["warnings"]]


# --- rows ------------------------------------------------------------------------------------------------


def test_the_default_type_is_shown_in_each_zone_cheapest_first(program):
    shown = program.document("prices")
    rows = shown["prices"]
    assert shown["instance_types"] == ["g4dn.xlarge"]
    assert shown["regions_queried"] == [WEST]
    assert {row["availability_zone"] for row in rows} == {f"{WEST}{letter}" for letter in "abcd"}
    offered = [row["spot_price_per_hour"] for row in rows if row["offered"]]
    assert offered == sorted(offered)
    assert [row["offered"] for row in rows] == [True, True, True, False]
    for row in rows[:3]:
        assert row["lowest_spot_price"] <= row["spot_price_per_hour"] <= row["highest_spot_price"]
        assert row["lowest_spot_price"] < row["highest_spot_price"]
        assert (row["on_demand_price_per_hour"], row["vcpus"], row["quota_family"]) == (0.526, 4, "gvt")
        assert (row["spot_quota"], row["fits_spot_quota"], row["fits_on_demand_quota"]) == (64, True, True)
        assert 1 <= row["placement_score"] <= 3  # always low for less than three types
    assert shown["warnings"] == []
    since, until = (datetime.fromisoformat(shown[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=7)


def test_the_zone_without_the_type_has_no_spot_price(program):
    last = program.document("prices")["prices"][-1]
    assert last["spot_price_per_hour"] is last["lowest_spot_price"] is None
    assert last["on_demand_price_per_hour"] == 0.526
    text = program("prices").stdout
    assert f"Not offered: g4dn.xlarge in {WEST}d\n" in text


@pytest.mark.parametrize(("columns", "has_range"), [(80, False), (120, True)])
def test_the_prices_fit_the_terminal(program, monkeypatch, columns, has_range):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = program("prices").stdout
    assert ("highest" in shown) is has_range
    for line in shown.splitlines():
        assert len(line) <= columns or line.startswith("  aws-bootstrap"), line


def test_prices_are_read_by_one_call_of_each_kind_a_region(program):
    program("prices", "-r", WEST, "-r", EAST, "--instance-type", "g5.xlarge", "--instance-type", "g5.2xlarge")
    once = ["GetSpotPlacementScores"]
    a_region = (
        "DescribeAvailabilityZones",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeSpotPriceHistory",
        "GetProducts",
        "GetServiceQuota",
        "GetServiceQuota",
    )
    assert program.calls() == sorted([*once, *a_region, *a_region])


def test_a_quota_that_is_too_small_says_so_and_its_request_is_next(program):
    program.sandbox.quota(GVT_SPOT, 3)
    shown = program.document("prices")
    assert {row["fits_spot_quota"] for row in shown["prices"]} == {False}
    words = [" ".join(command["argv"][1:]) for command in shown["next"]]
    assert any(line.endswith(f"quota request --type spot --desired-value 11 -r {WEST}") for line in words)
    assert not any("launch" in line for line in words)
    assert "  on-demand only" in program("prices").stdout


def test_the_printed_plan_of_several_types_is_by_price_and_runs(program):
    shown = program.document("prices", "--instance-type", "g5.xlarge", "--instance-type", "g4dn.xlarge")
    plan = next(command["argv"] for command in shown["next"] if command["do"] == "launch")
    words = plan[plan.index("launch") :]
    assert words[-1] == "--cheapest"
    planned = program.document(*words)
    assert planned["cheapest"] is True
    assert planned["instance_type"] == shown["prices"][0]["instance_type"] == "g4dn.xlarge"


def test_a_type_that_one_region_lacks_is_a_warning_and_that_none_has_an_error(program):
    both = ("-r", WEST, "-r", "eu-west-3")
    shown = program.document("prices", "--instance-type", "p5.48xlarge", *both)
    assert codes(shown) == ["bad-instance-type"]
    lacking = [row for row in shown["prices"] if row["region"] == "eu-west-3"]
    assert {(row["offered"], row["vcpus"]) for row in lacking} == {(False, 192)}
    failed = program.document("prices", "--instance-type", "zz9.large", exit_code=1)
    assert failed["error"]["code"] == "bad-instance-type"


# --- memory ----------------------------------------------------------------------------------------------


def test_the_memory_of_each_gpu_chooses_the_types(program):
    shown = program.document("prices", "--gpu-memory", "24")
    chosen = shown["instance_types"]
    assert {"g5.xlarge", "g6.xlarge", "p5.48xlarge"} <= set(chosen)
    assert not [name for name in chosen if name.startswith(("g4dn", "t3", "p3.2"))]
    assert shown["gpu_memory_gb"] == 24
    text = program("prices", "--gpu-memory", "24").stdout
    assert f"Chosen: {len(chosen)} types with 24 GB or more on each GPU" in text
    assert "the 30 cheapest of" in text


def test_the_memory_narrows_the_types_that_are_named(program):
    named = ("--instance-type", "g4dn.xlarge", "--instance-type", "g5.xlarge")
    assert program.document("prices", "--gpu-memory", "24", *named)["instance_types"] == ["g5.xlarge"]


def test_more_memory_than_any_gpu_has_is_an_empty_answer(program):
    assert program.document("prices", "--gpu-memory", "9000")["prices"] == []
    assert program("prices", "--gpu-memory", "9000").stdout == f"No instance type has 9000 GB on each GPU in {WEST}.\n"


@pytest.mark.parametrize(("mib", "gb"), [(22888, 24), (24576, 26), (45776, 48), (16384, 17), (None, 0)])
def test_memory_counts_as_its_maker_says_it(mib, gb):
    assert InstanceType("g6.xlarge", 4, 16384, (), gpu_memory_mib=mib).gpu_memory_gb == gb


# --- what cannot be read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "code", "keys"),
    [
        ("DescribeSpotPriceHistory", "price-unknown", ["spot_price_per_hour", "lowest_spot_price"]),
        ("GetProducts", "price-unknown", ["on_demand_price_per_hour"]),
        ("GetServiceQuota", "quota-unknown", ["spot_quota", "fits_spot_quota", "fits_on_demand_quota"]),
        ("GetSpotPlacementScores", "score-unknown", ["placement_score"]),
    ],
)
def test_what_cannot_be_read_is_null_said_once_and_no_failure(program, action, code, keys):
    program.sandbox.fault(action=action, do=DENIED)
    shown = program.document("prices")
    assert codes(shown) == [code]
    assert shown["prices"][0]["offered"] is True
    assert {shown["prices"][0][key] for key in keys} == {None}
    done = program("prices")
    assert done.exit_code == 0
    assert "not authorized" in done.stderr


def test_too_many_requests_for_scores_are_no_failure(program):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-sps-works.html: a limit of configurations in a day."""
    program.sandbox.fault(action="GetSpotPlacementScores", do={"error": "MaxConfigLimitExceeded", "message": "Limit."})
    assert codes(program.document("prices")) == ["score-unknown"]
    assert "score" not in program("prices").stdout


@pytest.mark.parametrize("action", ["DescribeInstanceTypes", "DescribeInstanceTypeOfferings"])
@pytest.mark.parametrize("more", [(), ("--gpu-memory", "24")])
def test_a_region_that_cannot_be_read_is_named(program, action, more):
    program.sandbox.fault(region=EAST, action=action, do=DENIED)
    shown = program.document("prices", "-r", WEST, "-r", EAST, *more, exit_code=3)
    assert [failure["region"] for failure in shown["regions_failed"]] == [EAST]
    assert {row["region"] for row in shown["prices"]} == {WEST}


# --- plot ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "begins"), [("p.svg", b"<?xml"), ("p.PNG", b"\x89PNG\r\n")])
def test_the_history_is_drawn(program, tmp_path, name, begins):
    file = tmp_path / name
    shown = program.document("prices", "-r", WEST, "-r", EAST, "--plot", str(file))
    assert shown["plot"] == str(file)
    assert file.read_bytes().startswith(begins)
    assert f"The plot is in {file}." in program("prices", "--plot", str(file)).stdout


def test_many_lines_are_cut_to_the_cheapest(program, tmp_path):
    file = tmp_path / "p.svg"
    program.document("prices", "--gpu-memory", "24", "--plot", str(file))
    assert "<!-- Spot prices of the 10 cheapest of " in file.read_text()


def test_without_matplotlib_nothing_is_read(program, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    failed = program.document("prices", "--plot", str(tmp_path / "p.svg"), exit_code=1)
    assert failed["error"]["code"] == "plot-missing"
    assert ".[plot]" in failed["error"]["hint"]
    assert program.calls() == []


def test_a_plot_of_nothing_and_one_that_cannot_be_written_are_errors_with_the_prices(program, tmp_path):
    program.sandbox.fault(action="DescribeSpotPriceHistory", do=DENIED)
    nothing = program.document("prices", "--plot", str(tmp_path / "p.svg"), exit_code=1)
    assert (nothing["error"]["code"], len(nothing["prices"])) == ("not-found", 4)
    program.sandbox.clear_faults()
    (tmp_path / "folder.svg").mkdir()
    refused = program("prices", "--plot", str(tmp_path / "folder.svg"), "-o", "json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "output-failed"


@pytest.mark.parametrize("name", ["p.pdf", "p", "missing/p.svg"])
def test_a_plot_is_an_svg_or_png_in_a_folder_that_exists(program, tmp_path, name):
    assert program("prices", "--plot", str(tmp_path / name)).exit_code == 2


# --- bars ------------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 8, tzinfo=UTC)
WEEK_AGO = NOW - timedelta(days=7)


def change(price: float, days: float) -> SpotPrice:
    return SpotPrice("g4dn.xlarge", "a", price, WEEK_AGO + timedelta(days=days))


def test_bars_are_two_a_day_each_with_the_price_at_its_end():
    assert bars([change(0.2, -3), change(0.1, 3.4), change(0.3, 6.9)], WEEK_AGO, NOW) == "▅" * 6 + "▁" * 7 + "█"
    assert bars([change(0.2, -3)], WEEK_AGO, NOW) == "▁" * 14
    assert bars([], WEEK_AGO, NOW) == ""


# --- launch --cheapest -----------------------------------------------------------------------------------


def runs(program: Program) -> list[tuple[str, str]]:
    """Region and instance type of each attempt."""
    return [(call["region"], call["params"]["InstanceType"]) for call in program.sandbox.log("RunInstances")]


def test_a_dry_run_shows_the_order_of_the_prices(program):
    shown = program.document("launch", "--dry-run", "--cheapest", "-r", FAR, "-r", WEST)
    assert shown["cheapest"] is True
    prices = [price["spot_price_per_hour"] for price in shown["prices"]]
    assert prices == sorted(prices)
    assert shown["regions"] == [price["region"] for price in shown["prices"]]
    text = program("launch", "--dry-run", "--cheapest", "-r", FAR, "-r", WEST).stdout
    assert "Prices, in the order of the attempts, cheapest first:" in text


def test_on_demand_is_ordered_by_its_own_prices(program):
    types = ("--instance-type", "g5.xlarge", "--instance-type", "g4dn.xlarge")
    shown = program.document("launch", "--dry-run", "--cheapest", "--on-demand", "-r", FAR, "-r", WEST, *types)
    order = [(price["region"], price["instance_type"]) for price in shown["prices"]]
    assert order == [(WEST, "g4dn.xlarge"), (FAR, "g4dn.xlarge"), (WEST, "g5.xlarge"), (FAR, "g5.xlarge")]


def test_a_launch_attempts_what_is_cheapest_first_in_each_market(program):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    failed = program.document("launch", "--yes", "--cheapest", "-r", FAR, "-r", WEST, exit_code=1)
    assert [(one["region"], one["market"]) for one in failed["error"]["regions"]] == [
        (WEST, "spot"),
        (FAR, "spot"),
        (WEST, "on-demand"),
        (FAR, "on-demand"),
    ]


def test_a_price_that_is_unknown_goes_last_with_a_warning(program):
    program.sandbox.fault(region=WEST, action="DescribeSpotPriceHistory", do=DENIED)
    shown = program.document("launch", "--dry-run", "--cheapest", "-r", WEST, "-r", FAR)
    assert shown["regions"] == [FAR, WEST]
    messages = [warning["message"] for warning in shown["warnings"]]
    assert f"The spot price of g4dn.xlarge in {WEST} is unknown, so it is tried last." in messages


def test_one_type_in_one_region_leaves_nothing_to_order(program):
    assert codes(program.document("launch", "--dry-run", "--cheapest")) == ["nothing-to-order"]


def test_equal_prices_keep_the_order_given():
    prices = {"a": 0.2, "b": None, "c": 0.2, "d": 0.1}

    def price_of(region: str, instance_type: str) -> TypePrice:
        return TypePrice(region, instance_type, prices[region], None)

    order = cheapest.ordered([(region, "t") for region in "abcd"], price_of, "spot")
    assert "".join(region for region, _ in order) == "dacb"


def test_a_policy_has_an_order_of_its_own_for_on_demand():
    policy = Policy((("a", "t"), ("b", "t")), spot=True, on_demand_pairs=(("b", "t"), ("a", "t")))
    assert [attempt.region for attempt in policy.attempts("spot")] == ["a", "b"]
    assert [attempt.region for attempt in policy.attempts("on-demand")] == ["b", "a"]
