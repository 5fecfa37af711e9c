"""Where the time of a command goes: its steps, calls to AWS, SSH connections and steps on the box.

Recorded with --timings alone. A leaf: whoever does the work says when it begins and ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient

    from .models import Timing


class Recorder:
    """What took how long so far, in seconds since the recorder's beginning."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        #: The arguments of each Timing.
        self._entries: list[tuple[str, str, float, float, str | None]] = []

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._began

    def add(self, what: str, name: str, start: float, region: str | None = None) -> None:
        """Add something that began at `start` and ends now."""
        seconds = round(self.now() - start, 3)
        with self._lock:
            self._entries.append((what, name, round(start, 3), seconds, region))

    def timings(self) -> tuple[Timing, ...]:
        """Return what was recorded, in the order in which it began."""
        from .models import Timing

        with self._lock:
            found = [Timing(*entry) for entry in self._entries]
        found.sort(key=attrgetter("start"))
        return tuple(found)


#: One command runs in a process. None: nothing is recorded.
_recorder: Recorder | None = None


def record(recorder: Recorder | None) -> None:
    """Record with this recorder from now on; None ends that."""
    global _recorder
    _recorder = recorder


def recorded() -> tuple[Timing, ...] | None:
    """Return what was recorded so far; None where nothing is recorded."""
    if _recorder is None:
        return None
    return _recorder.timings()


@contextlib.contextmanager
def measured(what: str, name: str) -> Iterator[None]:
    """Record how long the block takes, whether or not it succeeds. `what`: step, ssh or box."""
    recorder = _recorder
    if recorder is None:
        yield
        return
    start = recorder.now()
    try:
        yield
    finally:
        recorder.add(what, name, start)


def watch(client: BaseClient) -> None:
    """Record each call of a boto3 client from now on: from its request until its last answer, retries included."""
    recorder = _recorder
    if recorder is None:
        return
    region = client.meta.region_name
    starts: dict[int, float] = {}

    def begins(**_: object) -> None:
        starts[threading.get_ident()] = recorder.now()

    def ends(event_name: str, **_: object) -> None:
        start = starts.pop(threading.get_ident(), None)
        if start is not None:
            operation = event_name.rpartition(".")[2]  # as in after-call.ec2.DescribeInstances
            recorder.add("aws", operation, start, region)

    events = client.meta.events
    events.register("before-parameter-build", begins)
    events.register("after-call", ends)
    events.register("after-call-error", ends)


class BoxSteps:
    """The steps of a setup on a box, by the lines that it prints as they begin and end."""

    def __init__(self) -> None:
        #: When each step began that has not ended, by its title.
        self._starts: dict[str, float] = {}

    def read(self, line: str) -> None:
        """Read `==> TITLE` and `    TITLE: OUTCOME`, as `run_steps.py` prints them."""
        if _recorder is None:
            return
        if line.startswith("==> "):
            self._starts[line.removeprefix("==> ")] = _recorder.now()
            return
        for title, start in list(self._starts.items()):
            if line.startswith(f"    {title}: "):
                _recorder.add("box", title, start)
                del self._starts[title]
