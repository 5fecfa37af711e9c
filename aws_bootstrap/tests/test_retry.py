"""Durations, backoff, polling: with a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap.retry import backoff, parse_duration, poll
from aws_bootstrap.tests.factories import Clock


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("45", 45), ("1h2m3s", 3723)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "soon", "1d", "-5", "5 m", "1m1h", "1.5h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.floats(0, 1), st.integers(1, 12))
def test_backoff_doubles_up_to_its_cap_and_never_waits_nothing(chance, count):
    waits = backoff(1.0, 30.0, lambda: chance)
    for number in range(count):
        full = min(2.0**number, 30.0)
        assert full / 2 <= next(waits) <= full


def test_poll_answers_as_soon_as_there_is_an_answer():
    clock, answers = Clock(), iter([None, None, "yes"])
    assert poll(lambda: next(answers), timeout=10, every=2, clock=clock, sleep=clock.sleep) == "yes"
    assert clock.now == 4


def test_poll_gives_up_at_its_bound_after_a_last_look():
    clock, looks = Clock(), []
    assert poll(lambda: looks.append(clock.now), timeout=5, every=2, clock=clock, sleep=clock.sleep) is None
    assert looks == [0, 2, 4, 5]
