"""Follow the logs of a job on all nodes at once, until it has ended: shown line by line, and written to files.

A connection that breaks is renewed. Once the job has ended on one node it ends on the others within seconds: a node
that does not answer then is given up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from ... import output
from ...errors import BootstrapError
from ...parallel import run_parallel
from ...ssh_bytes import Frames, Lines, Prefixed
from ...ssh_session import Sessions
from .. import logs
from .job import Job
from .nodes import Node

if TYPE_CHECKING:
    from ...app import App

#: How long the other nodes may need once the job has ended on one: an agent waits 15 s until it takes another one to be
#: lost, and 10 s for its processes.
_GRACE_SECONDS = 45.0
#: How long a node may need then that the others have lost, which perhaps does not exist any more.
_LOST_SECONDS = 3.0


@dataclass(frozen=True)
class End:
    """How following a node's part has ended: what the node has noted of it, or why that is unknown."""

    node: Node
    about: Mapping[str, Any] | None = None
    error: BootstrapError | None = None


class Sink(Protocol):
    """Where the log of one node goes."""

    def take(self, chunk: bytes, /) -> object:
        """Take the next bytes."""

    def close(self) -> object:
        """Take note that there are no more."""


class Following:
    """The logs of one job, each to the sink of its node. `ends` are known so far, by rank."""

    def __init__(self, app: App, job: Job, sink_of: Callable[[Node], Sink], grace: float = _GRACE_SECONDS) -> None:
        self._app = app
        self._job = job
        self._sink_of = sink_of
        self._grace = grace
        self._sessions: dict[int, Sessions] = {}
        self._changed = threading.Condition()
        self.ends: dict[int, End] = {}

    def run(self) -> list[End]:
        """Follow all parts to their ends. Return these by rank. After an interrupt they are followed until `close`."""
        calls: list[Callable[[], None]] = [self._give_up_late_ones]
        for node in self._job.nodes:
            self._sessions[node.rank] = Sessions(self._app.ssh, logs.ANSWER_SECONDS)
        for node in self._job.nodes:
            calls.append(partial(self._follow, node))
        run_parallel(calls)
        return [self.ends[node.rank] for node in self._job.nodes]

    def close(self, seconds: float = 0.0) -> None:
        """Wait at most so long for the ends of all parts, and follow none any more."""
        with self._changed:
            self._changed.wait_for(self._all_have_ended, timeout=seconds)
        self._end_all()

    def _follow(self, node: Node) -> None:
        """Follow the part of one node, and note how it has ended."""
        try:
            end = self._ended(node)
        except BaseException as exc:
            self._note(End(node, error=BootstrapError(f"{node.alias}: {exc}")))
            self._end_all()
            raise
        self._note(end)

    def _ended(self, node: Node) -> End:
        log = logs.Log(run=self._job.name, follow=True)
        sink = self._sink_of(node)
        frames = Frames(sink.take)
        frames.known["id"] = self._job.name  # so that the first connection is renewed as well
        try:
            with self._sessions[node.rank] as sessions:
                logs.read(self._app, sessions, node.host, log, frames)
        except BootstrapError as exc:
            return End(node, error=exc)
        finally:
            sink.close()
        if "error" in frames.known:
            return End(node, error=BootstrapError(f"{node.alias}: {frames.known['error']['message']}."))
        return End(node, frames.known["end"])

    def _end_all(self) -> None:
        for sessions in self._sessions.values():
            sessions.end()

    def _note(self, end: End) -> None:
        with self._changed:
            self.ends[end.node.rank] = end
            self._changed.notify_all()

    def _give_up_late_ones(self) -> None:
        """Wait until the job has ended on one node, and give the others some time for it."""
        with self._changed:
            self._changed.wait_for(self._has_ended)
            self._changed.wait_for(self._only_lost_ones_are_left, timeout=self._grace)
            self._changed.wait_for(self._all_have_ended, timeout=min(self._grace, _LOST_SECONDS))
            late = [rank for rank in self._sessions if rank not in self.ends]
        for rank in late:
            self._sessions[rank].end()

    def _has_ended(self) -> bool:
        return self._all_have_ended() or any(end.about for end in self.ends.values())

    def _only_lost_ones_are_left(self) -> bool:
        left = self._sessions.keys() - self.ends.keys()
        return left <= lost_ranks(self.ends.values())

    def _all_have_ended(self) -> bool:
        return len(self.ends) == len(self._job.nodes)


def lost_ranks(ends: Iterable[End]) -> set[int]:
    """Return the ranks of the nodes that the agents of the others have lost."""
    lost: set[int] = set()
    for end in ends:
        result = end.about and end.about["result"]
        if result and result["outcome"] in ("node-lost", "join-timeout"):
            lost.add(result["culprit"])
    return lost


class Shown:
    """The log of one node as a person and later readers get it: to the terminal, with its rank, and to a file."""

    def __init__(self, app: App, width: int, log_dir: Path, node: Node) -> None:
        self._path = log_dir / f"rank-{node.rank}.log"
        self._file: IO[bytes] | None = self._path.open("wb", buffering=0)
        self._lines: Lines | None = None
        if app.passes_streams:
            self._lines = Lines(Prefixed(f"rank {node.rank}", app.console.pass_on, width).take)

    def take(self, chunk: bytes) -> None:
        """Write the next bytes. A full disk ends the file alone."""
        if self._file:
            try:
                self._file.write(chunk)
            except OSError as exc:
                output.warn(f"{self._path} is incomplete: {exc.strerror or exc}", code="log-incomplete")
                self._close_file()
        if self._lines:
            self._lines.take(chunk)

    def close(self) -> None:
        """Show a last line that lacks its end, and close the file."""
        if self._lines:
            self._lines.take(b"")
        self._close_file()

    def _close_file(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def shown(app: App, job: Job, log_dir: Path) -> Following:
    """Return the logs of a job, to be shown and written to files."""
    width = len(f"rank {job.nodes[-1].rank}")
    return Following(app, job, partial(Shown, app, width, log_dir))
