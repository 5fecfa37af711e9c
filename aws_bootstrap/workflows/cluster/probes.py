"""Jobs of this program's own: they measure the network, and compute on all nodes together. What they print is JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BootstrapError, Interrupted
from ...models import ClusterJobReport
from ...ssh_frame import Tail
from . import job as jobs
from .following import Following
from .job import Job, Task
from .nodes import Node
from .outcome import report_of

if TYPE_CHECKING:
    from ...app import App
    from ...ssh_tunnel import Connection

#: Of a log: what these jobs print fits.
_KEPT_BYTES = 256 * 1024

#: Each node measures what it gets from the one before it.
BANDWIDTH = Task("bandwidth.py", launcher="shell")
#: All-reduce and a few steps of training.
CANARY = Task("canary.py")
#: The bandwidth of all-reduce.
ALLREDUCE = Task("allreduce.py")


@dataclass(frozen=True)
class Probed:
    """How the job has ended, and what it has printed: the value of its key on each node that has it, by rank."""

    report: ClusterJobReport
    values: Mapping[int, Mapping[str, Any]]


class Probes:
    """Jobs one after the other, on connections that are open."""

    def __init__(self, app: App, cluster_id: str, nodes: tuple[Node, ...], connections: Mapping[int, Connection]):
        self._app = app
        self._cluster_id = cluster_id
        self._nodes = nodes
        self._connections = connections
        self._last: str | None = None

    def run(self, task: Task, key: str) -> Probed:
        """Run the job to its end. After an interrupt, or an error of this side, it is stopped on all nodes."""
        job = Job(jobs.new_name(self._last), self._cluster_id, self._nodes)
        self._last = job.name
        logs: dict[int, _Kept] = {node.rank: _Kept() for node in self._nodes}
        try:
            jobs.start(job, task, self._connections)
            ends = Following(self._app, job, lambda node: logs[node.rank]).run()
        except KeyboardInterrupt as exc:
            raise self._stopped(job, Interrupted.of(exc)) from exc
        except BootstrapError as exc:
            raise self._stopped(job, exc) from exc
        values: dict[int, Mapping[str, Any]] = {}
        for rank, log in logs.items():
            found = log.value(key)
            if found is not None:
                values[rank] = found
        return Probed(report_of(job, None, ends, None), values)

    def _stopped(self, job: Job, error: BootstrapError) -> BootstrapError:
        parts = jobs.stop(self._app, job.name, job.nodes)
        hints = [error.hint, jobs.not_stopped(job.cluster_id, job.nodes, parts)]
        return error.add_details(hint="\n".join(filter(None, hints)) or None)


class _Kept:
    """The end of a log, which is not shown."""

    def __init__(self) -> None:
        self._tail = Tail(_KEPT_BYTES)

    def take(self, chunk: bytes) -> None:
        """Keep the next bytes."""
        self._tail.take(chunk)

    def close(self) -> None:
        """Do nothing: what is kept stays."""

    def value(self, key: str) -> Mapping[str, Any] | None:
        """Return what the last line of JSON with that key has; None if there is none."""
        for line in reversed(self._tail.text().splitlines()):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and isinstance(found.get(key), dict):
                value: Mapping[str, Any] = found[key]
                return value
        return None
