"""Durations, backoff and polling. Pure: clock, sleep and random are passed in."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator

_DURATION = re.compile(r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m)?(?:(?P<s>[0-9]{1,6})s?)?")


def parse_duration(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `1h`, `1h30m` or plain seconds. ValueError for all else, zero included."""
    match = _DURATION.fullmatch(text.strip())
    seconds = 0
    if match:
        seconds = int(match["h"] or 0) * 3600 + int(match["m"] or 0) * 60 + int(match["s"] or 0)
    if not seconds:
        raise ValueError(f"{text!r} is not a duration: write 90s, 30m, 1h or 1h30m.")
    return float(seconds)


def backoff(base: float, cap: float, rng: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield waits in seconds without end: doubling from `base` up to `cap`, each between half of it and all of it."""
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
    """Return the first result of `check` that is not None; None once `timeout` seconds have passed without one."""
    end = clock() + timeout
    while True:
        result = check()
        if result is not None or clock() >= end:
            return result
        sleep(min(every, max(0.0, end - clock())))
