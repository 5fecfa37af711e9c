"""Where to try next: the policy as a table."""

from __future__ import annotations

import pytest

from aws_bootstrap.errors import AwsError, CapacityError, QuotaError
from aws_bootstrap.workflows.capacity import (
    AskOnDemand,
    Attempt,
    GiveUp,
    Miss,
    Policy,
    Tried,
    acquire,
    next_attempt,
    quota_commands,
)

ONE = Policy(("r1",), ("g4dn.xlarge",), spot=True)
TWO = Policy(("r1", "r2"), ("g4dn.xlarge", "g5.xlarge"), spot=True)
SPOT, ON_DEMAND = "spot", "on-demand"


def dry(region="r1", kind="g4dn.xlarge", market=SPOT) -> Miss:
    return Miss(Attempt(region, kind, market), CapacityError("none", aws_code="InsufficientInstanceCapacity"))


def quota(region="r1", kind="g4dn.xlarge", market=SPOT) -> Miss:
    return Miss(Attempt(region, kind, market), QuotaError("no more", aws_code="MaxSpotInstanceCountExceeded"))


TABLE = [
    ("first try", ONE, Tried(), Attempt("r1", "g4dn.xlarge", SPOT)),
    ("spot is dry: ask", ONE, Tried((dry(),)), AskOnDemand()),
    ("agreed: on-demand", ONE, Tried((dry(),), True), Attempt("r1", "g4dn.xlarge", ON_DEMAND)),
    ("declined: give up", ONE, Tried((dry(),), False), None),
    ("both dry: give up", ONE, Tried((dry(), dry(market=ON_DEMAND)), True), None),
    ("quota only: give up at once, nobody is asked", ONE, Tried((quota(),)), None),
    ("on-demand wanted", Policy(("r1",), ("t",), spot=False), Tried(), Attempt("r1", "t", ON_DEMAND)),
    ("on-demand dry: no question", Policy(("r1",), ("t",), spot=False), Tried((dry("r1", "t", ON_DEMAND),)), None),
    ("first type in every region first", TWO, Tried((dry(),)), Attempt("r2", "g4dn.xlarge", SPOT)),
    ("then the next type", TWO, Tried((dry(), dry("r2"))), Attempt("r1", "g5.xlarge", SPOT)),
    ("quota drops the region's whole family", TWO, Tried((quota(),)), Attempt("r2", "g4dn.xlarge", SPOT)),
    ("… for the next type too", TWO, Tried((quota(), dry("r2"))), Attempt("r2", "g5.xlarge", SPOT)),
    (
        "… and on demand",
        TWO,
        Tried((quota(), dry("r2"), dry("r2", "g5.xlarge")), True),
        Attempt("r2", "g4dn.xlarge", ON_DEMAND),
    ),
]


@pytest.mark.parametrize(("policy", "tried", "move"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_next_attempt(policy, tried, move):
    assert next_attempt(policy, tried) == (move if move else GiveUp(tried.misses))


def failing(*errors):
    """A start function that raises these in turn, then gives the attempt back as the instance."""
    left = list(errors)

    def start(attempt):
        if left:
            raise left.pop(0)
        return attempt

    return start


def test_acquire_asks_once_and_reports_each_miss():
    asked: list[bool] = []
    missed: list[Miss] = []

    def agree() -> bool:
        asked.append(True)
        return True

    got, attempt = acquire(ONE, failing(dry().error), agree, missed.append)
    assert attempt.market == ON_DEMAND and got == attempt
    assert len(asked) == 1 and [m.attempt.market for m in missed] == [SPOT]


def test_giving_up_names_every_region_and_reason():
    with pytest.raises(CapacityError) as caught:
        acquire(TWO, failing(*[m.error for m in (quota(), dry(), dry())]), lambda: False, lambda miss: None)
    assert [(r.region, r.instance_type, r.reason) for r in caught.value.report.regions] == [
        ("r1", "g4dn.xlarge", "no more"),
        ("r2", "g4dn.xlarge", "none"),
        ("r2", "g5.xlarge", "none"),
    ]
    assert "--on-demand" in str(caught.value.hint)


def test_quota_alone_is_a_quota_error():
    with pytest.raises(QuotaError):
        acquire(ONE, failing(quota().error), lambda: pytest.fail("asked"), lambda miss: None)


def test_other_errors_end_the_search():
    with pytest.raises(AwsError, match="denied"):
        acquire(ONE, failing(AwsError("denied", aws_code="X")), lambda: True, lambda miss: None)


@pytest.mark.parametrize(
    ("kind", "family"), [("g4dn.xlarge", "gvt"), ("p5.48xlarge", "p5"), ("p4d.24xlarge", "p"), ("dl1.24xlarge", "dl")]
)
def test_quota_commands_are_pinned(kind, family):
    text = quota_commands(Attempt("eu-west-1", kind, SPOT), 4, "aws-bootstrap")
    assert f"quota request --family {family} --region eu-west-1 --type spot --desired-value 8" in text
    assert f"quota show --family {family} --region eu-west-1" in text
