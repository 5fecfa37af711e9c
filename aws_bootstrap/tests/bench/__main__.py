"""Measure, and print the table. `.ci/bench --help` lists the options."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aws_bootstrap.tests.bench import aws_rows, cluster_rows, startup, timeline
from aws_bootstrap.tests.bench.measure import Result, Row, measure


class Group(NamedTuple):
    """Rows that are measured in the same rounds."""

    #: Prepares the rows: it is given the interpreter whose program is measured.
    rows: Callable[[Path], AbstractContextManager[list[Row]]]
    #: So many rounds, unless told otherwise.
    rounds: int
    #: The same rows with less to wait for, for a test.
    small: Callable[[Path], AbstractContextManager[list[Row]]]


# To add a group of rows, name it here.
GROUPS: dict[str, Group] = {
    "startup": Group(startup.rows, 15, startup.rows),
    "aws": Group(aws_rows.rows, 9, partial(aws_rows.rows, scale=aws_rows.SMALL)),
    "waits": Group(aws_rows.waiting_rows, 3, partial(aws_rows.waiting_rows, scale=aws_rows.SMALL)),
    "cluster": Group(cluster_rows.rows, 3, partial(cluster_rows.rows, scale=cluster_rows.SMALL)),
}

HEADINGS = ["what", "unit", "tool", "floor", "tool ÷ floor", "target", "met"]


def main(words: Sequence[str]) -> None:
    """Measure the groups named, or all."""
    parser = argparse.ArgumentParser(prog=".ci/bench", description="Measure the program beside its floors.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"default: all of {', '.join(GROUPS)}")
    rounds = ", ".join(f"{group.rounds} of {name}" for name, group in GROUPS.items())
    parser.add_argument("--rounds", type=int, help=f"the table shows the medians of so many (default: {rounds})")
    parser.add_argument("--small", action="store_true", help="small accounts that answer at once, to try the benchmark")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="measure the program beside it")
    parser.add_argument(
        "--timeline", action="store_true", help="show where the time of cluster launch goes, in place of the rows"
    )
    given = parser.parse_args(words)
    for unknown in set(given.groups) - set(GROUPS):
        parser.error(f"no group {unknown}; groups: {', '.join(GROUPS)}")
    print(_machine(), file=sys.stderr)
    if given.timeline:
        scale = cluster_rows.SMALL if given.small else cluster_rows.FULL
        _show_table(timeline.timeline(given.python.absolute(), scale))
        return
    print(_line(HEADINGS))
    print("|" + "---|" * len(HEADINGS), flush=True)
    for name in given.groups or GROUPS:
        group = GROUPS[name]
        prepare = group.small if given.small else group.rows
        with prepare(given.python.absolute()) as rows:
            _show(measure(rows, given.rounds or group.rounds))


def _show(results: Sequence[Result]) -> None:
    for result in results:
        print(_line(result.cells()), flush=True)


def _show_table(table: Iterable[Sequence[str]]) -> None:
    """Print a table whose first row is its heading."""
    for number, cells in enumerate(table):
        print(_line(cells), flush=True)
        if number == 0:
            print("|" + "---|" * len(cells))


def _line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    """What the figures were measured on, and how busy it was."""
    load = os.getloadavg()[0]
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
