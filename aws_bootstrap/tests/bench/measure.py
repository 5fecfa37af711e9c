"""What one run of a program costs, and rows of such figures: ours, the floor, and the target between them."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from .peaks import Peaks

#: Runs a program once, and returns what has the figures of that run as attributes.
Run = Callable[[], Any]

#: `ru_maxrss` is in KiB on Linux, in bytes on macOS.
_RSS_PER_MIB = 1024 if sys.platform != "darwin" else 1024 * 1024
#: Seconds after which a program is stuck.
_LONGEST = 120.0


@dataclass(frozen=True)
class Cost:
    """What one process has cost. A process that is as large as this one at its start reports at least that peak."""

    #: Seconds of CPU, user and system, of all its threads.
    cpu: float
    seconds: float
    peak_mib: float


def cost_of(
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    peaks: Peaks | None = None,
) -> Cost:
    """Run the program to its end, in this environment. RuntimeError if it fails."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        timer = threading.Timer(_LONGEST, process.kill)
        timer.start()
        if peaks:
            peaks.watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        timer.cancel()
        if peaks:
            peaks.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            stderr.seek(0)
            raise RuntimeError(f"{' '.join(words)} failed: {stderr.read().decode()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss / _RSS_PER_MIB)


class Figure(NamedTuple):
    """One figure of a program's runs. In a round the program runs once for all figures of the same `run`."""

    run: Run
    #: The attribute of what `run` returns.
    name: str


class Row(NamedTuple):
    """One row of the table."""

    name: str
    #: What the figures are: `CPU ÷ import click`, `s`, `MiB`, `calls`.
    unit: str
    ours: Figure
    #: None where there is nothing to compare with.
    floor: Figure | None = None
    #: None: the figure is shown for what it is.
    target: float | None = None
    #: What both figures are divided by, measured in the same rounds; None: nothing.
    base: Figure | None = None
    #: Whether the target is for ours ÷ floor, and not for our figure.
    target_is_ratio: bool = False


class Result(NamedTuple):
    """The medians of one row."""

    row: Row
    ours: float
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of the floor."""
        if not self.floor:
            return None
        return self.ours / self.floor

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        figure = self.ratio if self.row.target_is_ratio else self.ours
        if figure is None or self.row.target is None:
            return None
        return figure <= self.row.target

    def cells(self) -> list[str]:
        """The row as it is printed."""
        target = "–"
        if self.row.target is not None:
            target = f"≤ {self.row.target:g}"
        if self.row.target_is_ratio:
            target += " × floor"
        met = {True: "yes", False: "no", None: "–"}[self.is_met]
        return [self.row.name, self.row.unit, *map(_shown, (self.ours, self.floor, self.ratio)), target, met]


def _shown(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.2f}"


def measure(rows: Sequence[Row], rounds: int) -> list[Result]:
    """Measure all rows in the same rounds."""
    figures: list[Figure] = []
    for row in rows:
        figures += [figure for figure in (row.ours, row.floor, row.base) if figure]
    found = medians(figures, rounds)
    results: list[Result] = []
    for row in rows:
        base = found[row.base] if row.base else 1.0
        floor = found[row.floor] / base if row.floor else None
        results.append(Result(row, found[row.ours] / base, floor))
    return results


def medians(figures: Sequence[Figure], rounds: int) -> dict[Figure, float]:
    """Return the median of each, in shuffled rounds, so that a busy moment of the machine meets any of them."""
    runs = list(dict.fromkeys(figure.run for figure in figures))
    if rounds > 1:
        for run in runs:
            run()  # what a first run writes or reads for the later ones does not count
    done: dict[Run, list[Any]] = {run: [] for run in runs}
    for _ in range(rounds):
        for run in random.sample(runs, len(runs)):
            done[run].append(run())
    found: dict[Figure, float] = {}
    for figure in figures:
        found[figure] = statistics.median(getattr(one, figure.name) for one in done[figure.run])
    return found
