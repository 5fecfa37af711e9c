"""What one run of a program costs, and rows of such figures: ours, the floor, and the target between them."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

#: Measures once. The same object in several rows is measured once a round.
Measurement = Callable[[], float]

#: `ru_maxrss` is in KiB on Linux, in bytes on macOS.
_RSS_PER_MIB = 1024 if sys.platform != "darwin" else 1024 * 1024


class Cost(NamedTuple):
    """What one process has cost. A process that is as large as this one at its start reports at least that peak."""

    #: Seconds of CPU, user and system, of all its threads.
    cpu: float
    seconds: float
    peak_mib: float


def cost_of(words: Sequence[str], environ: Mapping[str, str | None] | None = None) -> Cost:
    """Run the program to its end; `environ` is added to this process's environment, None removes a variable."""
    changed = {"PYTHONDONTWRITEBYTECODE": None, **(environ or {})}
    kept = {name: value for name, value in os.environ.items() if name not in changed}
    env = kept | {name: value for name, value in changed.items() if value is not None}
    began = time.perf_counter()
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return Cost(usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss / _RSS_PER_MIB)


class Row(NamedTuple):
    """One row of the table."""

    name: str
    #: What the figures are: `CPU ÷ import click`, `s`, `MiB`, `calls`.
    unit: str
    ours: Measurement
    floor: Measurement
    target: float
    #: What both figures are divided by, measured in the same rounds; None: nothing.
    base: Measurement | None = None
    #: Whether the target is for ours ÷ floor, and not for our figure.
    target_is_ratio: bool = False


class Result(NamedTuple):
    """The medians of one row."""

    row: Row
    ours: float
    floor: float

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the floor."""
        return self.ours / self.floor

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return (self.ratio if self.row.target_is_ratio else self.ours) <= self.row.target

    def cells(self) -> list[str]:
        """The row as it is printed."""
        target = f"≤ {self.row.target:g}"
        if self.row.target_is_ratio:
            target += " × floor"
        met = "yes" if self.is_met else "no"
        figures = [f"{self.ours:.2f}", f"{self.floor:.2f}", f"{self.ratio:.2f}"]
        return [self.row.name, self.row.unit, *figures, target, met]


def measure(rows: Sequence[Row], rounds: int) -> list[Result]:
    """Measure all rows in the same rounds."""
    needed: list[Measurement] = []
    for row in rows:
        needed += [row.ours, row.floor]
        if row.base:
            needed.append(row.base)
    found = medians(list(dict.fromkeys(needed)), rounds)
    results: list[Result] = []
    for row in rows:
        base = found[row.base] if row.base else 1.0
        results.append(Result(row, found[row.ours] / base, found[row.floor] / base))
    return results


def medians(measurements: list[Measurement], rounds: int) -> dict[Measurement, float]:
    """Return the median of each, in shuffled rounds, so that a busy moment of the machine meets any of them."""
    if rounds > 1:
        for measurement in measurements:
            measurement()  # what a first run writes or reads for the later ones does not count
    figures: dict[Measurement, list[float]] = {measurement: [] for measurement in measurements}
    for _ in range(rounds):
        for measurement in random.sample(measurements, len(measurements)):
            figures[measurement].append(measurement())
    return {measurement: statistics.median(found) for measurement, found in figures.items()}
