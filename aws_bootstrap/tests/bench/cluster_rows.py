"""The rows of `cluster launch`: what several nodes cost beside one, which is the floor here."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from .aws_account import Account, account
from .aws_answers import REGIONS
from .measure import Cost, Figure, Row, Run, cost_of
from .peaks import Peaks


class Scale(NamedTuple):
    """How many nodes are launched, and how long AWS and the boxes take."""

    #: The first one is the floor of the others.
    nodes: Sequence[int] = (1, 8, 64)
    regions: int = len(REGIONS)
    delay_ms: int = 80
    #: Seconds from RunInstances until the SSH ports open, and that a setup takes.
    opens: float = 5.0
    setup: float = 20.0


FULL = Scale()
#: For a test, which looks at what does not depend on time.
SMALL = Scale(nodes=(1, 2, 3), regions=2, delay_ms=5, opens=1.0, setup=1.0)


@dataclass(frozen=True)
class LaunchCost(Cost):
    """What one `cluster launch` has cost, and what AWS and the boxes saw of it."""

    #: The calls to AWS, and those of them that it refused since there were too many.
    calls: int
    refused: int
    #: To AWS, and to the boxes.
    aws_connections: int
    ssh_connections: int
    #: The most at the same time: of the program, of what it started, of the setups.
    threads: int
    open_files: int
    processes: int
    setups_at_once: int
    #: What took how long, as --timings has it.
    timings: Sequence[Mapping[str, Any]]


#: The figures that are shown: the unit, and the attribute of the cost.
_FIGURES = {
    "s": "seconds",
    "CPU s": "cpu",
    "MiB": "peak_mib",
    "calls": "calls",
    "connections to AWS": "aws_connections",
    "ssh at once": "processes",
    "threads": "threads",
    "open files": "open_files",
    "setups at once": "setups_at_once",
}
#: So many times as long as one node may 8 of them take.
_TARGET = 1.2


class Launches:
    """The program, in an account that starts nodes."""

    def __init__(self, python: Path, of: Account, port: int) -> None:
        self._program = [str(python), str(python.parent / "aws-bootstrap"), "--timings"]
        self._account = of
        self._port = port

    def run(self, nodes: int, *options: str) -> LaunchCost:
        """Launch a cluster of so many nodes in the account as it was at its start. RuntimeError if that fails."""
        self._account.post("/reset")
        self._account.forget()
        words = ["cluster", "launch", "--cluster-id", "train", "--nodes", str(nodes), "-r", "us-west-2", "--yes"]
        words += ["--ssh-port", str(self._port), "-o", "json", *options]
        peaks = Peaks()
        with tempfile.TemporaryFile() as stdout:
            cost = cost_of([*self._program, *words], self._account.environment, stdout=stdout, peaks=peaks)
            stdout.seek(0)
            timings = json.load(stdout)["timings"]
        calls = self._account.get("/log")
        return LaunchCost(
            **asdict(cost),
            calls=len(calls),
            refused=sum(call["error"] == "RequestLimitExceeded" for call in calls),
            aws_connections=len({call["connection"] for call in calls}),
            ssh_connections=self._account.get("/box")["connections"],
            threads=peaks.threads,
            open_files=peaks.open_files,
            processes=peaks.processes,
            setups_at_once=at_once(entry for entry in timings if entry["what"] == "box"),
            timings=timings,
        )


def at_once(entries: Iterable[Mapping[str, Any]]) -> int:
    """Return how many of these went on at the same time, at most."""
    changes: list[tuple[float, int]] = []
    for entry in entries:
        changes += [(entry["start"], 1), (entry["start"] + entry["seconds"], -1)]
    most = number = 0
    for _, change in sorted(changes):
        number += change
        most = max(most, number)
    return most


@contextmanager
def launches(python: Path, scale: Scale = FULL) -> Iterator[Launches]:
    """The program beside this interpreter, in an account of its own."""
    port = _free_port(max(scale.nodes))
    options = ["--boxes", "0", "--regions", str(scale.regions), "--delay-ms", str(scale.delay_ms)]
    options += ["--box-port", str(port), "--box-opens", str(scale.opens), "--box-setup", str(scale.setup)]
    with account(options) as of:
        yield Launches(python, of, port)


@contextmanager
def rows(python: Path, scale: Scale = FULL) -> Iterator[list[Row]]:
    """The rows of several nodes beside one."""
    with launches(python, scale) as program:
        fewest, *more = scale.nodes
        floor = partial(program.run, fewest)
        found: list[Row] = []
        for nodes in more:
            found += _rows(scale, nodes, partial(program.run, nodes), floor)
        found += _volume_rows(scale, more[-1], partial(program.run, more[-1], "--ebs-storage", "100"))
        yield found


def _rows(scale: Scale, nodes: int, ours: Run, floor: Run) -> list[Row]:
    name = f"`cluster launch`, {nodes} nodes, a setup of {scale.setup:g} s"
    found: list[Row] = []
    for unit, attribute in _FIGURES.items():
        target = _TARGET if (unit, nodes) == ("s", scale.nodes[1]) else None
        figures = Figure(ours, attribute), Figure(floor, attribute)
        found.append(Row(name, unit, *figures, target, target_is_ratio=target is not None))
    return found


def _volume_rows(scale: Scale, nodes: int, ours: Run) -> list[Row]:
    name = f"`cluster launch --ebs-storage`, {nodes} nodes, a setup of {scale.setup:g} s"
    return [
        Row(name, "s", Figure(ours, "seconds")),
        Row(name, "calls", Figure(ours, "calls")),
        Row(name, "calls refused", Figure(ours, "refused"), target=0),
    ]


def _free_port(boxes: int) -> int:
    """Return a port that is free at the first address, and most probably at those of the other boxes."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
