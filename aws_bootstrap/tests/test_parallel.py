"""Calls at the same time, but no more than so many."""

from __future__ import annotations

import threading

import pytest

from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.parallel import Rate, map_few_at_once
from aws_bootstrap.tests.factories import Clock

BOUND = 30.0


def test_results_come_in_the_order_of_the_items():
    later_has_ended = threading.Event()

    def double(number: int) -> int:
        if number == 1:
            later_has_ended.wait(BOUND)
        if number == 3:
            later_has_ended.set()
        return 2 * number

    assert map_few_at_once(double, [1, 2, 3], at_once=2) == [2, 4, 6]
    assert map_few_at_once(double, [], at_once=2) == []


def test_so_many_calls_are_under_way_and_no_more():
    under_way: set[int] = set()
    most: list[int] = []
    all_three = threading.Barrier(3)

    def call(number: int) -> None:
        under_way.add(number)
        all_three.wait(BOUND)
        most.append(len(under_way))
        all_three.wait(BOUND)
        under_way.discard(number)

    map_few_at_once(call, range(9), at_once=3)
    assert set(most) == {3}


def test_after_an_error_no_further_call_begins():
    begun: list[int] = []
    both = threading.Barrier(2)

    def call(number: int) -> None:
        begun.append(number)
        both.wait(BOUND)
        raise BootstrapError("refused")

    with pytest.raises(BootstrapError, match="refused"):
        map_few_at_once(call, range(9), at_once=2)
    assert sorted(begun) == [0, 1]


def test_calls_begin_no_faster_than_the_rate():
    clock = Clock()

    def begun(number: int) -> tuple[int, float]:
        return number, clock()

    found = map_few_at_once(begun, range(6), 1, Rate(burst=3, per_second=2.0), clock=clock, sleep=clock.sleep)
    assert found == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.5), (4, 1.0), (5, 1.5)]


def test_a_call_that_is_late_already_does_not_wait():
    clock = Clock()

    def slow(number: int) -> float:
        begun = clock()
        clock.now += 10
        return begun

    assert map_few_at_once(slow, range(3), 1, Rate(1, 1.0), clock=clock, sleep=clock.sleep) == [0.0, 10.0, 20.0]
