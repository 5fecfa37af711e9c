"""Durations, backoff and polling. Pure: clock, sleep and random are passed in."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_DURATION = re.compile(r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m)?(?:(?P<s>[0-9]{1,6})s?)?")


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `30m`, `1h`, `1h30m` or plain seconds. Raises ValueError on anything else, zero included."""
    match = _DURATION.fullmatch(text.strip())
    seconds = sum(int(match[unit] or 0) * size for unit, size in (("h", 3600), ("m", 60), ("s", 1))) if match else 0
    if not seconds:
        raise ValueError(f"{text!r} is not a duration: write 90s, 30m, 1h or 1h30m.")
    return float(seconds)


def backoff(base: float, cap: float, rng: Callable[[], float] = random.random) -> Iterator[float]:
    """Endless waits in seconds: doubling from `base` up to `cap`, each between half of it and all of it."""
    wait = base
    while True:
        yield wait * (0.5 + 0.5 * rng())
        wait = min(wait * 2, cap)


def poll[T](
    check: Callable[[], T | None],
    *,
    timeout: float,
    every: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T | None:
    """The first answer of `check` that is not None; None once `timeout` seconds have passed without one."""
    end = clock() + timeout
    while True:
        answer = check()
        if answer is not None or clock() >= end:
            return answer
        sleep(min(every, max(0.0, end - clock())))
