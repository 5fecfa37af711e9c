"""Where to try next: the policy as a table."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from aws_bootstrap.ec2 import Market
from aws_bootstrap.errors import AwsError, CapacityError, QuotaError, TransientError
from aws_bootstrap.models import ErrorReport, RegionReason
from aws_bootstrap.tests.factories import Clock
from aws_bootstrap.workflows.launch.capacity import (
    AskOnDemand,
    Attempt,
    FailedAttempt,
    GiveUp,
    Policy,
    SearchHooks,
    SearchState,
    UnsupportedError,
    Wait,
    acquire,
    next_action,
    search_error,
)
from aws_bootstrap.workflows.launch.quota_error import quota_commands

ONE = Policy((("r1", "g4dn.xlarge"),), spot=True)
TWO = Policy(
    (("r1", "g4dn.xlarge"), ("r2", "g4dn.xlarge"), ("r1", "g5.xlarge"), ("r2", "g5.xlarge")),
    spot=True,
)
MIXED = Policy((("r1", "g4dn.xlarge"), ("r1", "p5.48xlarge")), spot=True)
PATIENT = replace(ONE, wait_timeout=100.0)
ON_DEMAND_ONLY = Policy((("r1", "t"),), spot=False)
SPOT: Market = "spot"
ON_DEMAND: Market = "on-demand"


def dry(region="r1", kind="g4dn.xlarge", market: Market = SPOT, sweep=0) -> FailedAttempt:
    return FailedAttempt(
        Attempt(region, kind, market), CapacityError("none", aws_code="InsufficientInstanceCapacity"), sweep
    )


def quota(region="r1", kind="g4dn.xlarge", market: Market = SPOT, sweep=0) -> FailedAttempt:
    return FailedAttempt(
        Attempt(region, kind, market), QuotaError("no more", aws_code="MaxSpotInstanceCountExceeded"), sweep
    )


def refused(region="r1", kind="g4dn.xlarge", market: Market = SPOT, sweep=0) -> FailedAttempt:
    return FailedAttempt(
        Attempt(region, kind, market), AwsError("you may not", aws_code="UnauthorizedOperation"), sweep
    )


def tried(*misses, on_demand=None, sweep=0, elapsed=0.0) -> SearchState:
    return SearchState(misses, sweep, elapsed, on_demand)


SUBNETS = replace(ONE, subnet_ids={"r1": ("subnet-1", "subnet-2")})
UNSUPPORTED = UnsupportedError("not in this zone", aws_code="Unsupported")


def in_subnet(subnet_id: str, error: AwsError | None = None) -> FailedAttempt:
    attempt = Attempt("r1", "g4dn.xlarge", SPOT, subnet_id)
    return FailedAttempt(attempt, error or dry().error)


FIRST = Attempt("r1", "g4dn.xlarge", SPOT)

TABLE = [
    ("first try", ONE, tried(), FIRST),
    ("spot is dry: ask", ONE, tried(dry()), AskOnDemand()),
    ("agreed: on-demand", ONE, tried(dry(), on_demand=True), Attempt("r1", "g4dn.xlarge", ON_DEMAND)),
    ("declined: give up", ONE, tried(dry(), on_demand=False), GiveUp()),
    ("both dry: give up", ONE, tried(dry(), dry(market=ON_DEMAND), on_demand=True), GiveUp()),
    ("subnets in the order given", SUBNETS, tried(), Attempt("r1", "g4dn.xlarge", SPOT, "subnet-1")),
    ("the next subnet", SUBNETS, tried(in_subnet("subnet-1")), Attempt("r1", "g4dn.xlarge", SPOT, "subnet-2")),
    (
        "a subnet's zone lacks the type: not there again, in no market",
        SUBNETS,
        tried(in_subnet("subnet-1", UNSUPPORTED), in_subnet("subnet-2"), on_demand=True),
        Attempt("r1", "g4dn.xlarge", ON_DEMAND, "subnet-2"),
    ),
    (
        "every subnet's zone lacks the type: nothing to wait for",
        replace(SUBNETS, wait_timeout=9.0),
        tried(in_subnet("subnet-1", UNSUPPORTED), in_subnet("subnet-2", UNSUPPORTED)),
        GiveUp(),
    ),
    ("quota only: give up at once, nobody is asked", ONE, tried(quota()), GiveUp()),
    ("on-demand wanted", ON_DEMAND_ONLY, tried(), Attempt("r1", "t", ON_DEMAND)),
    ("on-demand dry: no question", ON_DEMAND_ONLY, tried(dry("r1", "t", ON_DEMAND)), GiveUp()),
    ("first type in every region first", TWO, tried(dry()), Attempt("r2", "g4dn.xlarge", SPOT)),
    ("then the next type", TWO, tried(dry(), dry("r2")), Attempt("r1", "g5.xlarge", SPOT)),
    ("quota drops the region's whole family", TWO, tried(quota()), Attempt("r2", "g4dn.xlarge", SPOT)),
    ("… for the next type too", TWO, tried(quota(), dry("r2")), Attempt("r2", "g5.xlarge", SPOT)),
    (
        "… and on demand",
        TWO,
        tried(quota(), dry("r2"), dry("r2", "g5.xlarge"), on_demand=True),
        Attempt("r2", "g4dn.xlarge", ON_DEMAND),
    ),
    ("waiting: pause after a sweep, on-demand is never offered", PATIENT, tried(dry()), Wait(100.0)),
    ("waiting: sweep again", PATIENT, tried(dry(), sweep=1), FIRST),
    ("waiting: no longer than the timeout", PATIENT, tried(dry(), elapsed=99.0), Wait(1.0)),
    ("waiting: the timeout ends it", PATIENT, tried(dry(), elapsed=100.0), GiveUp()),
    (
        "waiting: a running sweep is finished",
        replace(TWO, wait_timeout=1.0),
        tried(dry(), elapsed=9.0),
        Attempt("r2", "g4dn.xlarge", SPOT),
    ),
    ("waiting for a quota is pointless", PATIENT, tried(quota()), GiveUp()),
    (
        "a quota of an earlier sweep still counts",
        replace(TWO, wait_timeout=9.0),
        tried(quota(), sweep=1),
        Attempt("r2", "g4dn.xlarge", SPOT),
    ),
    ("a quota leaves the region's other families", MIXED, tried(quota()), Attempt("r1", "p5.48xlarge", SPOT)),
    ("a refusal drops the whole region", TWO, tried(refused(), dry("r2")), Attempt("r2", "g5.xlarge", SPOT)),
    ("refused everywhere: give up, nobody is asked", TWO, tried(refused(), refused("r2")), GiveUp()),
    ("waiting for who refuses is pointless", PATIENT, tried(refused()), GiveUp()),
    ("a quota and no room: ask", TWO, tried(quota(), dry("r2"), dry("r2", "g5.xlarge")), AskOnDemand()),
    (
        "waiting goes on while one region has hope",
        replace(TWO, wait_timeout=9.0),
        tried(quota(), dry("r2"), dry("r2", "g5.xlarge")),
        Wait(9.0),
    ),
]


@pytest.mark.parametrize(("policy", "before", "move"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_next_action(policy, before, move):
    assert next_action(policy, before) == move


def test_what_was_tried_begins_at_nothing():
    assert next_action(ONE, SearchState()) == FIRST
    assert next_action(PATIENT, SearchState((FailedAttempt(FIRST, dry().error),))) == Wait(100.0)


def failing(*errors):
    """A start function that raises these in turn, then gives the attempt back as the instance."""
    left = list(errors)

    def start(attempt):
        if left:
            raise left.pop(0)
        return attempt

    return start


def never_asked(_: object) -> bool:
    raise AssertionError("asked")


def test_acquire_asks_once_and_reports_each_miss():
    asked: list[list[Attempt]] = []
    missed: list[FailedAttempt] = []

    def agree(attempts: Sequence[Attempt]) -> bool:
        asked.append(list(attempts))
        return True

    got, attempts = acquire(ONE, SearchHooks(failing(dry().error), agree, on_failure=missed.append))
    assert [a.market for a in attempts] == [SPOT, ON_DEMAND]
    assert got == attempts[-1]
    assert asked == [[attempts[-1]]]
    assert [m.attempt.market for m in missed] == [SPOT]


def test_capacity_that_comes_back_is_taken_after_some_sweeps():
    clock, waits = Clock(), []
    search = SearchHooks(
        failing(*[dry().error] * 3),
        never_asked,
        on_wait=lambda seconds, before: waits.append(before.sweep),
        clock=clock,
        sleep=clock.sleep,
    )
    _, attempts = acquire(replace(ONE, wait_timeout=600.0), search)
    assert len(attempts) == 4
    assert set(waits) == {0, 1, 2}
    assert 2.5 + 5 + 10 <= clock.now <= 5 + 10 + 20


def test_waiting_ends_at_the_timeout_with_the_last_reason():
    clock = Clock()
    with pytest.raises(CapacityError, match="within 100 s") as caught:
        acquire(PATIENT, SearchHooks(failing(*[dry().error] * 99), never_asked, clock=clock, sleep=clock.sleep))
    assert clock.now == pytest.approx(100)
    assert len(caught.value.report.regions) == 1


def test_giving_up_names_every_region_and_reason():
    with pytest.raises(CapacityError) as caught:
        acquire(TWO, SearchHooks(failing(*[m.error for m in (quota(), dry(), dry())]), lambda attempts: False))
    assert [(r.region, r.instance_type, r.reason) for r in caught.value.report.regions] == [
        ("r1", "g4dn.xlarge", "no more"),
        ("r2", "g4dn.xlarge", "none"),
        ("r2", "g5.xlarge", "none"),
    ]
    assert "--on-demand" in str(caught.value.hint)
    assert "--wait" in str(caught.value.hint)


def missed(kind: str, error: AwsError, hint: str | None = None) -> FailedAttempt:
    if hint:
        error.add_details(hint=hint)
    return FailedAttempt(Attempt("r1", kind, SPOT), error)


def test_the_type_is_named_where_there_is_one_and_the_wait_where_there_was_one():
    one, other = missed("g4dn.xlarge", dry().error), missed("g5.xlarge", dry().error)
    assert str(search_error(ONE, SearchState((one,)))) == "EC2 has no capacity for g4dn.xlarge right now."
    assert (
        str(search_error(ONE, SearchState((one, other))))
        == "EC2 has no capacity for g4dn.xlarge or g5.xlarge right now."
    )
    assert str(search_error(PATIENT, SearchState((one,)))) == "EC2 had no capacity for g4dn.xlarge within 100 s."


def test_what_helps_is_said_once_and_only_where_it_helps():
    hinted = QuotaError("no more", aws_code="VcpuLimitExceeded")
    misses = (
        missed("g4dn.xlarge", hinted, "ask for more"),
        missed("g5.xlarge", hinted, "ask for more"),
        missed("g6.xlarge", dry().error, "of one attempt"),
    )
    shown = str(search_error(TWO, SearchState(misses)).hint).splitlines()
    assert shown == [
        "ask for more",
        "Launch on-demand, at its price: --on-demand",
        "Wait for capacity: --wait",
        "Try another --instance-type or --region. Both can be repeated.",
    ]
    assert search_error(TWO, SearchState(misses[:2])).hint == "ask for more"
    agreed = str(search_error(PATIENT, SearchState(misses[2:], on_demand=True)).hint).splitlines()
    assert agreed == ["Try another --instance-type or --region. Both can be repeated."]


@pytest.mark.parametrize("kind", [AwsError, QuotaError, CapacityError])
def test_the_last_refusals_code_is_kept(kind):
    error = search_error(ONE, SearchState((missed("g4dn.xlarge", kind("no", aws_code="TheCode", code="the-code")),)))
    assert error.aws_code == "TheCode"
    assert type(error) is kind
    assert error.code == "the-code" or kind is not AwsError


def test_a_pause_tells_each_second_what_is_left():
    clock, left = Clock(), []
    search = SearchHooks(
        failing(*[dry().error] * 9),
        never_asked,
        on_wait=lambda seconds, tried: left.append(round(seconds, 3)),
        clock=clock,
        sleep=clock.sleep,
    )
    with pytest.raises(CapacityError):
        acquire(replace(ONE, wait_timeout=2.0), search)
    assert left == [2.0, 1.0]


def test_each_attempt_is_reported_with_what_went_before():
    """The pauses are those of docs/capacity.md: 5 s, doubling to 60 s, each shortened by chance to half at least."""
    clock, told = Clock(1000.0), []
    search = SearchHooks(
        failing(*[dry().error] * 7),
        never_asked,
        on_attempt=lambda attempt, before: told.append(
            (attempt, before.sweep, len(before.failed_attempts), before.elapsed)
        ),
        clock=clock,
        sleep=clock.sleep,
    )
    random.seed(3)
    ends = [0.0]
    for longest in (5, 10, 20, 40, 60, 60, 60):
        ends.append(ends[-1] + longest * (0.5 + 0.5 * random.random()))
    random.seed(3)
    acquire(replace(ONE, wait_timeout=600.0), search)
    assert told == [(FIRST, number, number, pytest.approx(end)) for number, end in enumerate(ends)]


def test_on_demand_that_is_declined_is_asked_about_once():
    answers = iter([False])
    with pytest.raises(CapacityError):
        acquire(ONE, SearchHooks(failing(dry().error), lambda attempts: next(answers)))
    assert list(answers) == []


def test_a_quota_of_one_type_does_not_end_the_search_in_its_region():
    _, attempts = acquire(MIXED, SearchHooks(failing(quota().error), never_asked))
    assert attempts == (FIRST, Attempt("r1", "p5.48xlarge", SPOT))


def test_a_refusal_of_the_only_region_is_raised_itself():
    error = refused().error
    with pytest.raises(AwsError) as caught:
        acquire(MIXED, SearchHooks(failing(error), never_asked))
    assert caught.value is error


ELSEWHERE = "Try another --instance-type or --region. Both can be repeated."


def test_what_is_reported_in_the_end_where_there_was_no_room():
    misses = (quota(), dry("r2"), dry("r2", "g5.xlarge", ON_DEMAND), replace(dry("r2"), error=LATER))
    error = search_error(TWO, tried(*misses))
    assert (type(error), error.exit_code, error.aws_code) == (CapacityError, 1, "InsufficientInstanceCapacity")
    assert error.report == ErrorReport(
        code="no-capacity",
        message="EC2 has no capacity for g4dn.xlarge or g5.xlarge right now.",
        hint=f"Launch on-demand, at its price: --on-demand\nWait for capacity: --wait\n{ELSEWHERE}",
        regions=(
            RegionReason("r1", "no more", "g4dn.xlarge", SPOT),
            RegionReason("r2", "none, later", "g4dn.xlarge", SPOT),
            RegionReason("r2", "none", "g5.xlarge", ON_DEMAND),
        ),
    )


LATER = CapacityError("none, later", aws_code="UnfulfillableCapacity")


def test_what_is_reported_in_the_end_of_quotas_and_refusals():
    error = search_error(ONE, tried(quota()))
    reasons = (RegionReason("r1", "no more", "g4dn.xlarge", SPOT),)
    what = "The account's vCPU quota does not allow another g4dn.xlarge."
    assert (type(error), error.aws_code) == (QuotaError, "MaxSpotInstanceCountExceeded")
    assert error.report == ErrorReport("quota", what, regions=reasons), "no hint where there is none"
    error = search_error(TWO, tried(quota(), refused("r2")))
    assert (type(error), error.aws_code) == (AwsError, "UnauthorizedOperation")
    assert [(r.region, r.reason) for r in error.report.regions] == [("r1", "no more"), ("r2", "you may not")]


@pytest.mark.parametrize(
    ("policy", "before", "hint"),
    [
        (ON_DEMAND_ONLY, tried(dry(market=ON_DEMAND)), ["Wait for capacity: --wait", ELSEWHERE]),
        (PATIENT, tried(dry()), ["Launch on-demand, at its price: --on-demand", ELSEWHERE]),
        (ONE, tried(dry(), on_demand=True), ["Wait for capacity: --wait", ELSEWHERE]),
    ],
    ids=["on-demand alone", "waited", "agreed to"],
)
def test_no_option_is_advised_that_was_given(policy, before, hint):
    assert str(search_error(policy, before).hint).splitlines() == hint


def test_quota_alone_is_a_quota_error():
    with pytest.raises(QuotaError):
        acquire(ONE, SearchHooks(failing(quota().error), never_asked))


def test_a_refusal_drops_its_region_where_there_is_another():
    refused = AwsError("denied", aws_code="UnauthorizedOperation")
    _, attempts = acquire(TWO, SearchHooks(failing(refused), never_asked))
    assert attempts[-1] == Attempt("r2", "g4dn.xlarge", SPOT)


def test_an_unknown_answer_ends_the_search_everywhere():
    """An instance may be starting: another attempt could make two."""
    with pytest.raises(TransientError):
        acquire(TWO, SearchHooks(failing(TransientError("lost", aws_code="ReadTimeoutError")), never_asked))


def test_an_answer_that_never_came_ends_the_search_whatever_was_the_matter():
    """mutants.md, `_goes_on` (now `_may_continue`): the next region was tried, and two boxes billed."""
    lost = AwsError("the connection broke in an unknown way", aws_code="SomeNewClientError")
    lost.outcome_known = False
    with pytest.raises(AwsError) as caught:
        acquire(TWO, SearchHooks(failing(lost), never_asked))
    assert caught.value is lost


def test_other_errors_end_the_search():
    with pytest.raises(AwsError, match="denied"):
        acquire(ONE, SearchHooks(failing(AwsError("denied", aws_code="X")), never_asked))


@pytest.mark.parametrize(
    ("kind", "family"), [("g4dn.xlarge", "gvt"), ("p5.48xlarge", "p5"), ("p4d.24xlarge", "p"), ("dl1.24xlarge", "dl")]
)
def test_quota_commands_are_pinned(kind, family):
    text = quota_commands(Attempt("eu-west-1", kind, SPOT), 12)
    assert f"quota request --family {family} --region eu-west-1 --type spot --desired-value 12" in text
    assert f"quota show --family {family} --region eu-west-1" in text


def test_a_quota_of_a_type_without_a_family_is_raised_at_the_console():
    where = "https://console.aws.amazon.com/servicequotas/"
    assert quota_commands(Attempt("eu-west-1", "zz9.large", SPOT), 12) == f"Request an increase: {where}"


def unsupported() -> CapacityError:
    return CapacityError("This type is not supported in this zone.", aws_code="Unsupported")


@pytest.mark.parametrize("policy", [replace(PATIENT, zone="r1a"), replace(PATIENT, subnet_ids={"r1": ("subnet-1",)})])
def test_a_type_that_a_fixed_zone_lacks_ends_the_search(policy):
    with pytest.raises(UnsupportedError, match="not supported in this zone") as caught:
        acquire(policy, SearchHooks(failing(unsupported()), never_asked))
    assert caught.value.code == "bad-instance-type"
    assert "another --instance-type" in str(caught.value.hint)


def test_a_type_that_the_zone_of_ec2s_choice_lacks_is_missing_capacity():
    clock = Clock()
    _, attempts = acquire(PATIENT, SearchHooks(failing(unsupported()), never_asked, clock=clock, sleep=clock.sleep))
    assert attempts == (FIRST, FIRST)
