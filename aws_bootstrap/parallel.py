"""Calls at the same time, each in a thread of its own.

The threads are daemons: an interrupted command ends at once instead of waiting for the slowest answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, overload

#: Seconds between two looks at signals while waiting: one that comes just before the wait begins is acted on only when
#: the wait is over.
WAKE_SECONDS = 0.2


def map_parallel[T, R](function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the function's results for the items, in their order. See `run_parallel`."""
    calls: list[Callable[[], R]] = []
    for item in items:
        calls.append(partial(function, item))
    return run_parallel(calls)


class Rate(NamedTuple):
    """How fast calls may begin: so many at once, and so many a second from then on."""

    burst: int
    per_second: float

    def due(self, number: int) -> float:
        """Return the seconds after the first call at which a call may begin; the calls are counted from 0."""
        return max(0.0, (number + 1 - self.burst) / self.per_second)


def map_few_at_once[T, R](
    function: Callable[[T], R],
    items: Iterable[T],
    at_once: int,
    rate: Rate | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[R]:
    """Return the function's results for the items, in their order, with no more than so many calls at the same time.

    With a `rate` they begin no faster than that. After an error no further call begins; it is raised once those under
    way have ended.
    """
    began = clock()
    waiting: SimpleQueue[tuple[int, T]] = SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)
    results: dict[int, R] = {}
    has_failed = threading.Event()

    def work() -> None:
        while not has_failed.is_set():
            try:
                number, item = waiting.get_nowait()
            except Empty:
                return
            early = began + rate.due(number) - clock() if rate else 0.0
            if early > 0:
                sleep(early)
            try:
                results[number] = function(item)
            except BaseException:
                has_failed.set()
                raise

    run_parallel([work] * min(at_once, waiting.qsize()))
    return [results[number] for number in sorted(results)]


def run_parallel[R](calls: Iterable[Callable[[], R]]) -> list[R]:
    """Return the results of the calls, in their order, once all have ended. Raise the first error in that order."""
    results: dict[int, R] = {}
    errors: dict[int, BaseException] = {}
    ended: SimpleQueue[int] = SimpleQueue()

    def run(number: int, call: Callable[[], R]) -> None:
        try:
            results[number] = call()
        except BaseException as exc:
            errors[number] = exc
        ended.put(number)

    count = 0
    for call in calls:
        threading.Thread(target=run, args=(count, call), daemon=True).start()
        count += 1
    for _ in range(count):
        _wait(ended)
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(count)]


@overload
def gather[A, B](first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]:
    """Return the results of two calls."""


@overload
def gather[A, B, C](first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /) -> tuple[A, B, C]:
    """Return the results of three calls."""


@overload
def gather[A, B, C, D](
    first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], fourth: Callable[[], D], /
) -> tuple[A, B, C, D]:
    """Return the results of four calls."""


@overload
def gather[A, B, C, D, E](
    first: Callable[[], A],
    second: Callable[[], B],
    third: Callable[[], C],
    fourth: Callable[[], D],
    fifth: Callable[[], E],
    /,
) -> tuple[A, B, C, D, E]:
    """Return the results of five calls."""


@overload
def gather[A, B, C, D, E, F](
    first: Callable[[], A],
    second: Callable[[], B],
    third: Callable[[], C],
    fourth: Callable[[], D],
    fifth: Callable[[], E],
    sixth: Callable[[], F],
    /,
) -> tuple[A, B, C, D, E, F]:
    """Return the results of six calls."""


def gather(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """Return the results of different calls, in their order. See `run_parallel`."""
    return tuple(run_parallel(calls))


def _wait(ended: SimpleQueue[int]) -> None:
    """Wait for the next call to end."""
    while True:
        with contextlib.suppress(Empty):
            ended.get(timeout=WAKE_SECONDS)
            return
