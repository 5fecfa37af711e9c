"""Calls at the same time, but no more than so many."""

from __future__ import annotations

import threading

import pytest

from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.parallel import map_few_at_once

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
