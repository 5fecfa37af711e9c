"""What became of a call whose answer never came: found, not done, or still unknown."""

from __future__ import annotations

import pytest

from aws_bootstrap.errors import AwsError, BootstrapError, CapacityError, TransientError, explain
from aws_bootstrap.workflows.unknown import Unanswered, is_unknown, look_up


def lost() -> AwsError:
    error = explain("ConnectionClosedError", "Connection was closed before we received a valid response")
    error.answered = False
    return error


BUSY = TransientError("busy", aws_code="InternalError")
REFUSED = AwsError("denied", aws_code="UnauthorizedOperation")


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (lost(), True),
        (BUSY, True),
        (KeyboardInterrupt(), True),
        (KeyError("VolumeId"), True),
        (REFUSED, False),
        (CapacityError("none", aws_code="InsufficientInstanceCapacity"), False),
        (BootstrapError("not of AWS"), False),
    ],
    ids=repr,
)
def test_which_calls_may_have_taken_effect(error, unknown):
    assert is_unknown(error) is unknown


def answers(*given):
    """A look that gives these answers, errors raised, and the last one for ever."""
    left = list(given)

    def look():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def test_an_effect_that_shows_is_found_though_the_first_look_was_lost():
    lookup = look_up(answers(lost(), "i-1"), seconds=5)
    assert lookup.found == "i-1" and not lookup.unknown


def test_nothing_that_shows_is_not_done():
    lookup = look_up(answers(None), seconds=0)
    assert lookup.found is None and not lookup.unknown


@pytest.mark.parametrize("failing", [lost(), BUSY, REFUSED, KeyError("Volumes")], ids=repr)
def test_a_look_that_fails_leaves_the_outcome_unknown(failing):
    assert look_up(answers(failing), seconds=0).unknown


def test_a_look_that_is_refused_is_not_repeated():
    assert look_up(answers(REFUSED, "i-1"), seconds=5).unknown


def test_only_calls_without_an_answer_are_looked_up():
    calls, found = Unanswered(), []
    with calls.asked("answered", lambda: found.append("answered")):
        pass
    with pytest.raises(AwsError), calls.asked("refused", lambda: found.append("refused")):
        raise REFUSED
    with pytest.raises(AwsError), calls.asked("lost", lambda: found.append("lost")):
        raise lost()
    with pytest.raises(KeyboardInterrupt), calls.asked("interrupted", answers(REFUSED)):
        raise KeyboardInterrupt
    assert calls.settle(0) == ("interrupted",) and found == ["lost"]


def test_a_call_that_is_under_way_is_looked_up_too():
    calls = Unanswered()
    with calls.asked("under way", answers(REFUSED)):
        assert calls.settle(0) == ("under way",)
    assert calls.settle(0) == ()
