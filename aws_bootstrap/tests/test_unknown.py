"""What became of a call whose answer never came: found, not done, or still unknown."""

from __future__ import annotations

import threading

import pytest

from aws_bootstrap.aws_errors import to_aws_error
from aws_bootstrap.errors import AwsError, BootstrapError, CapacityError, TransientError
from aws_bootstrap.workflows.unknown import Calls, is_unknown, look_up


def lost() -> AwsError:
    error = to_aws_error("ConnectionClosedError", "Connection was closed before we received a valid response")
    error.outcome_known = False
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
    assert lookup.found == "i-1"
    assert not lookup.unknown


def test_nothing_that_shows_is_not_done():
    lookup = look_up(answers(None), seconds=0)
    assert lookup.found is None
    assert not lookup.unknown


@pytest.mark.parametrize("failing", [lost(), BUSY, REFUSED, KeyError("Volumes")], ids=repr)
def test_a_look_that_fails_leaves_the_outcome_unknown(failing):
    assert look_up(answers(failing), seconds=0).unknown


def test_a_look_that_is_refused_is_not_repeated():
    assert look_up(answers(REFUSED, "i-1"), seconds=5).unknown


def test_a_look_that_hangs_leaves_the_outcome_unknown():
    let_go = threading.Event()
    assert look_up(lambda: let_go.wait(30) or None, seconds=0, last_look=0.05).unknown
    let_go.set()


def test_what_a_call_did_is_its_answer_or_what_shows():
    noted: list[str] = []
    calls = Calls(5)
    assert calls.make("answered", answers("i-1"), look=answers("wrong"), note=noted.append) == "i-1"
    assert calls.make("lost", answers(lost()), look=answers(None, "i-2"), note=noted.append) == "i-2"
    assert calls.make("unread", answers(KeyError("State")), look=answers("i-3"), note=noted.append) == "i-3"
    assert noted == ["i-1", "i-2", "i-3"]
    assert calls.unknown == []


def test_a_call_that_did_nothing_fails_with_its_error_and_says_whether_that_is_known():
    noted: list[str] = []
    calls = Calls(0)
    for name, error, shows in (
        ("refused", REFUSED, "not asked"),
        ("not done", lost(), None),
        ("unknown", lost(), REFUSED),
    ):
        with pytest.raises(AwsError) as caught:
            calls.make(name, answers(error), look=answers(shows), note=noted.append)
        assert caught.value is error
    assert calls.unknown == ["unknown"]
    assert noted == []


def test_interrupted_calls_are_looked_up_at_the_end_and_no_other():
    noted: list[str] = []
    calls = Calls(0)
    calls.make("answered", answers("i-1"), look=answers("wrong"), note=noted.append)
    for name, shows in (("done", "i-2"), ("not done", None), ("unknown", REFUSED)):
        with pytest.raises(KeyboardInterrupt):
            calls.make(name, interrupted, look=answers(shows), note=noted.append)
    calls.settle()
    assert noted == ["i-1", "i-2"]
    assert calls.unknown == ["unknown"]


def interrupted():
    raise KeyboardInterrupt


def test_nothing_more_is_sent_once_they_are_settled():
    calls, sent = Calls(0), []
    calls.settle()
    with pytest.raises(BootstrapError, match="no further calls are sent"):
        calls.make("late", lambda: sent.append("late"), look=answers(None), note=sent.append)
    assert sent == []
