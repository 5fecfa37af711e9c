"""Cases side by side: most of a case's time is waiting, so several benches share two cores."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_bootstrap.tests.matrix.bench import Bench
from aws_bootstrap.tests.matrix.cases import Case
from aws_bootstrap.tests.matrix.evidence import Evidence, gather
from aws_bootstrap.tests.matrix.judge import violations
from aws_bootstrap.tests.matrix.recording import Recording, record
from aws_bootstrap.tests.matrix.scenarios import Scenario

END_SECONDS = 30.0
"""For how long a lane's last case may go on after an interrupt."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    case: Case
    violations: tuple[str, ...]
    seconds: float
    actions: frozenset[str] = frozenset()
    evidence: Evidence | None = None


class Lanes:
    """Benches that work side by side; `with Lanes(folder, number) as lanes`."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._benches: list[Bench] = []
        self._number = number
        self._is_ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Lanes:
        self._benches = self._each(range(self._number), self._start)
        return self

    def __exit__(self, *_: object) -> None:
        # A lane that goes on would start its sandbox again.
        self._is_ending.set()
        for bench in self._benches:
            bench.end_commands()
        for thread in self._threads:
            thread.join(END_SECONDS)
        for bench in self._benches:
            bench.close()

    def _start(self, number: int) -> Bench:
        return Bench(self._folder / f"lane-{number}")

    def _each[A, B](self, items: Iterable[A], work: Callable[[A], B]) -> list[B]:
        """The work's results, all done at the same time; the first error is raised."""
        done: list[B] = []
        failed: list[BaseException] = []

        def attempt(item: A) -> None:
            try:
                done.append(work(item))
            except BaseException as exc:
                failed.append(exc)

        self._threads = [threading.Thread(target=attempt, args=(item,), daemon=True) for item in items]
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if failed:
            raise failed[0]
        return done

    def record(self, scenarios: Sequence[Scenario]) -> list[Recording]:
        """A clean run of each scenario, in their order."""
        found: dict[str, Recording] = {}

        def work(bench: Bench, scenario: Scenario) -> None:
            found[scenario.name] = record(bench, scenario)

        self._work_off([(scenario.world, scenario) for scenario in scenarios], work)
        return [found[scenario.name] for scenario in scenarios]

    def judge(self, cases: Sequence[Case], tell: Callable[[Verdict], None]) -> None:
        """Run every case; `tell` is given each verdict as it comes, one at a time."""
        telling = threading.Lock()

        def work(bench: Bench, case: Case) -> None:
            verdict = judged(bench, case)
            with telling:
                tell(verdict)

        self._work_off([(case.scenario.world, case) for case in cases], work)

    def _work_off[A](self, items: Iterable[tuple[str, A]], work: Callable[[Bench, A], None]) -> None:
        """Have each bench do the items of the worlds that it has: making a world takes seconds."""
        waiting: dict[str, list[A]] = {}
        for world, item in items:
            waiting.setdefault(world, []).append(item)
        taking = threading.Lock()

        def lane(bench: Bench) -> None:
            while not self._is_ending.is_set():
                with taking:
                    world = _next_world(bench, waiting)
                    if world is None:
                        return
                    item = waiting[world].pop(0)
                work(bench, item)

        self._each(self._benches, lane)


def _next_world[A](bench: Bench, waiting: dict[str, list[A]]) -> str | None:
    """Where the most is to be done: among the worlds that the bench has, if there is anything, else among all."""
    open_worlds = [world for world, items in waiting.items() if items]
    own = [world for world in open_worlds if world in bench.worlds]
    return max(own or open_worlds, key=lambda world: len(waiting[world]), default=None)


def judged(bench: Bench, case: Case) -> Verdict:
    """The verdict on one case. What breaks in the bench itself is a violation too: nothing is passed over."""
    began = time.monotonic()
    try:
        evidence = gather(bench, case)
        broken = tuple(violations(evidence))
    except Exception:
        return Verdict(case, (f"the bench broke: {traceback.format_exc()[-600:]}",), time.monotonic() - began)
    return Verdict(case, broken, time.monotonic() - began, evidence.actions, evidence)
