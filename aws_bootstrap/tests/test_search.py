"""The search for room, as a launch tells it: what is tried, what is warned of, and when on-demand is asked about.

AWS answers in this process, and the boxes are pretended.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aws_bootstrap import output
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.errors import AwsError, CapacityError, QuotaError
from aws_bootstrap.workflows.launch import search
from aws_bootstrap.workflows.launch.capacity import Attempt, FailedAttempt, Policy

EAST, WEST = "us-east-1", "us-west-2"
SPOT = {"InstanceMarketOptions.MarketType": "spot"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_ROOM = "InsufficientInstanceCapacity"


def markets(cloud) -> list[str]:
    return [region for region, operation in cloud.calls if operation == "RunInstances"]


def warnings(box) -> list[tuple[str, str | None]]:
    return [(warning["code"], warning.get("region")) for warning in box["warnings"]]


def test_each_place_without_room_is_a_warning_of_its_region(launch, cloud):
    cloud.fail("RunInstances", NO_ROOM, region=WEST)
    code, box = launch("-r", WEST, "-r", EAST)
    assert code == 0
    assert box["region"] == EAST
    assert warnings(box) == [("no-capacity", WEST)]
    assert box["warnings"][0]["message"] == f"Could not launch g4dn.xlarge (spot) in {WEST}: EC2 said {NO_ROOM}."


def test_while_waiting_a_missing_capacity_is_no_warning_but_a_quota_is(launch, cloud):
    cloud.fail("RunInstances", NO_ROOM, region=WEST)
    cloud.fail("RunInstances", "MaxSpotInstanceCountExceeded", region=EAST)
    code, box = launch("-r", WEST, "-r", EAST, "-r", "eu-west-1", "--wait", "--wait-timeout", "1")
    assert code == 0
    assert box["region"] == "eu-west-1"
    assert warnings(box) == [("quota", EAST)]


@pytest.fixture
def text():
    """Output for a person."""
    output.use(Console(OutputFormat.TEXT))


def miss(error: AwsError) -> FailedAttempt:
    return FailedAttempt(Attempt(WEST, "g4dn.xlarge", "spot"), error)


ONE_SWEEP = Policy(((WEST, "g4dn.xlarge"),), spot=True)
WAITING = Policy(((WEST, "g4dn.xlarge"),), spot=True, wait_timeout=60)


@pytest.mark.parametrize("policy", [ONE_SWEEP, WAITING])
def test_a_quota_is_reported_with_its_commands_at_once(capsys, text, policy):
    search._warn_failed_attempt(
        policy, miss(QuotaError("No more.", hint="Request an increase: COMMAND", aws_code="VcpuLimitExceeded"))
    )
    told = capsys.readouterr().err
    assert f"Could not launch g4dn.xlarge (spot) in {WEST}: No more." in told
    assert "Request an increase: COMMAND" in told


def test_a_quota_without_a_hint_is_reported_alone(capsys, text):
    search._warn_failed_attempt(ONE_SWEEP, miss(QuotaError("No more.", aws_code="VcpuLimitExceeded")))
    assert capsys.readouterr().err.count("\n") == 1


def test_the_hint_of_another_miss_is_kept_for_the_end(capsys, text):
    search._warn_failed_attempt(ONE_SWEEP, miss(CapacityError("None.", hint="Try COMMAND.", aws_code=NO_ROOM)))
    told = capsys.readouterr().err
    assert "None." in told
    assert "COMMAND" not in told


def test_a_region_that_refuses_is_reported_while_waiting(capsys, text):
    search._warn_failed_attempt(WAITING, miss(AwsError("You may not.", aws_code="UnauthorizedOperation")))
    assert "You may not." in capsys.readouterr().err


def test_what_costs_more_than_the_highest_price_is_not_started(launch, cloud):
    cloud.list_price = 0.526
    code, failed = launch("--on-demand", "--max-price", "0.5")
    assert code == 1
    assert markets(cloud) == []
    assert "--max-price 0.5" in failed["error"]["regions"][0]["reason"]


# --- the question about on-demand ------------------------------------------------------------------------


@pytest.fixture
def asked(app, cloud, launch, monkeypatch):
    """The questions put to a person who agrees to everything; on-demand costs $0.526 an hour."""
    cloud.list_price = 0.526
    questions: list[str] = []

    def agree(question, *, yes):
        questions.append(question())
        return True

    monkeypatch.setattr(app, "accept", agree)
    return questions


def test_on_demand_is_asked_about_with_its_price(launch, cloud, asked):
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    code, box = launch()
    assert code == 0
    assert box["pricing"] == "on-demand"
    (question,) = asked
    first, price, monthly, last = question.splitlines()
    assert first == f"There is no spot capacity for g4dn.xlarge in {WEST} right now."
    assert price.endswith("on-demand about $0.526/h")
    assert monthly == "  Monthly  about $11.65: root volume (100 GB) $8.00, public IPv4 address $3.65"
    assert last == "Launch on-demand at about $0.526/h?"


def test_the_ready_box_has_its_price(launch, cloud):
    code, box = launch("--on-demand", "--ebs-storage", "5")
    costs = {key: box[key] for key in ("price_per_hour", "monthly_cost_usd")}
    assert costs == {"price_per_hour": 0.526, "monthly_cost_usd": 12.05}
    assert [cost["item"] for cost in box["monthly_costs"]] == ["root volume", "data volume", "public IPv4 address"]
    assert [operation for _, operation in cloud.calls].count("GetProducts") == 1


def test_an_unknown_on_demand_price_is_said_in_the_question(launch, cloud, asked):
    cloud.deny("us-east-1", "GetProducts")
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    code, box = launch()
    assert (code, box["price_per_hour"]) == (0, None)
    assert [warning["code"] for warning in box["warnings"]][:1] == ["price-unknown"]
    assert asked[0].endswith("Launch on-demand at an unknown price?")


# --- the highest price -----------------------------------------------------------------------------------


def too_dear(cloud, price: str) -> None:
    record = {"InstanceType": "g4dn.xlarge", "AvailabilityZone": f"{WEST}a", "SpotPrice": price, "Timestamp": NOW}
    history = {"SpotPriceHistory": [record]}
    cloud.faults.change_answer("DescribeSpotPriceHistory", lambda reply: reply.update(history))


def test_a_highest_price_that_is_too_low_names_the_one_that_would_do(launch, cloud):
    too_dear(cloud, "0.1418")
    code, failed = launch("--max-price", "0.01")
    assert code == 1
    assert failed["error"]["message"] == "The price of g4dn.xlarge is above --max-price."
    hints = failed["error"]["hint"].splitlines()
    assert hints[0] == f"Allow g4dn.xlarge (spot) in {WEST}, about $0.1418 an hour: --max-price 0.15"
    assert not any("--on-demand" in hint for hint in hints), "on-demand is dearer still"


def test_on_demand_is_a_way_on_where_its_price_is_within_the_limit(launch, cloud, app, monkeypatch):
    monkeypatch.setattr(app, "accept", lambda question, *, yes: False)
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    assert "--on-demand" in launch("--max-price", "0.6")[1]["error"]["hint"]
    assert "--on-demand" not in launch("--max-price", "0.5")[1]["error"]["hint"]


@pytest.mark.parametrize(("limit", "pricing"), [("0.525", None), ("0.526", "on-demand"), ("0.527", "on-demand")])
def test_what_costs_more_than_the_highest_price_is_not_asked_about(launch, cloud, asked, limit, pricing):
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    code, box = launch("--max-price", limit)
    assert (code, box["pricing"]) == ((0, "on-demand") if pricing else (1, "spot"))
    assert len(asked) == (1 if pricing else 0)


def test_on_demand_is_asked_about_where_one_of_the_types_is_cheap_enough(launch, cloud, asked):
    cloud.list_price = {"g5.xlarge": 1.006, "g4dn.xlarge": 0.526}
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    code, box = launch("--max-price", "0.6", "--instance-type", "g4dn.xlarge", "--instance-type", "g5.xlarge")
    assert code == 0
    assert box["instance_type"] == "g4dn.xlarge"
    assert len(asked) == 1


def test_the_question_names_what_will_be_bought_where_the_first_type_is_ruled_out(launch, cloud, asked):
    """A quota rules out the family of the first type: its price would be that of another box."""
    cloud.list_price = {"g4dn.xlarge": 0.526, "p4d.24xlarge": 32.77}
    cloud.fail("RunInstances", "MaxSpotInstanceCountExceeded", **SPOT, InstanceType="g4dn.xlarge")
    cloud.fail("RunInstances", NO_ROOM, **SPOT, InstanceType="p4d.24xlarge")
    code, box = launch("--instance-type", "g4dn.xlarge", "--instance-type", "p4d.24xlarge")
    assert (code, box["instance_type"], box["pricing"]) == (0, "p4d.24xlarge", "on-demand")
    (question,) = asked
    assert question.splitlines()[0] == f"There is no spot capacity for p4d.24xlarge in {WEST} right now."
    assert question.endswith("Launch on-demand at about $32.77/h?")


def test_the_question_lists_every_type_that_may_be_bought(launch, cloud, asked):
    cloud.list_price = {"g4dn.xlarge": 0.526, "g5.xlarge": 1.006}
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    assert launch("--instance-type", "g4dn.xlarge", "--instance-type", "g5.xlarge")[0] == 0
    (question,) = asked
    lines = question.splitlines()
    assert lines[0] == "There is no spot capacity right now. On-demand is attempted in this order:"
    assert ["g4dn.xlarge" in lines[1], "about $0.526/h" in lines[1]] == [True, True]
    assert ["g5.xlarge" in lines[2], "about $1.01/h" in lines[2]] == [True, True]
    assert lines[-1] == "Launch the first of these that has capacity, on-demand?"


def test_a_type_above_the_highest_price_is_not_offered(launch, cloud, asked):
    cloud.list_price = {"g4dn.xlarge": 0.526, "g5.xlarge": 1.006}
    cloud.fail("RunInstances", NO_ROOM, **SPOT)
    assert launch("--instance-type", "g5.xlarge", "--instance-type", "g4dn.xlarge", "--max-price", "0.6")[0] == 0
    assert asked[0].endswith("Launch on-demand at about $0.526/h?")
    assert "g5.xlarge" not in asked[0]
