"""Run a job on all nodes of a cluster: check, send the code, start, follow, and stop it everywhere after Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import ClusterJobReport, JobRestart, NodeResult
from ...parallel import map_parallel
from ...ssh import quoted
from ...ssh_tunnel import Connection, opened
from .. import runs
from ..unreachable import hint_on_timeout
from . import job as jobs
from . import members
from .code import Code, send
from .following import End, Following
from .job import Job, Task
from .nodes import Node, all_ready, on_all
from .outcome import report_of

if TYPE_CHECKING:
    from ...app import App


#: For the last lines of the logs, once the job is stopped.
_LAST_WORDS_SECONDS = 3.0


@dataclass(frozen=True)
class Request:
    """What to run on which cluster."""

    cluster_id: str
    code: Code
    arguments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    nproc: str = "auto"
    #: As on the command line.
    checkpoint_dir: str | None = None
    log_dir: Path = Path(".aws-bootstrap/clusters")
    max_restarts: int = 0
    detach: bool = False
    #: Whether the code is sent.
    sync: bool = True
    #: The words of the command that repeats it.
    again: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """Return what runs on each node."""
        return Task(
            script=self.code.script,
            arguments=self.arguments,
            launcher=self.code.launcher,
            data_script=self.code.data_script,
            nproc=self.nproc,
            checkpoint_dir=self.code.checkpoints(self.checkpoint_dir),
            folder=self.code.name,
        )


def run(app: App, request: Request) -> ClusterJobReport:
    """Run a job to its end, or with `detach` only start it. Return how it has ended; an error says no more.

    After an interrupt or an error of this side it is stopped on all nodes.
    """
    cluster = members.get(app, request.cluster_id, request.regions)
    nodes = all_ready(cluster)
    job = Job(jobs.new_name(), request.cluster_id, nodes)
    return Attempt(app, request, job, cluster.region).run()


class Attempt:
    """One job, from its start to its end."""

    def __init__(
        self, app: App, request: Request, job: Job, region: str | None, restarts: Sequence[JobRestart] = ()
    ) -> None:
        self._app = app
        self._request = request
        self._job = job
        self._region = region
        self._restarts = tuple(restarts)
        self._log_dir: Path | None = None
        self._following: Following | None = None
        #: Whether it may run on a node.
        self._may_run = False

    def run(self) -> ClusterJobReport:
        """Start the job and follow it to its end, unless it is to be detached."""
        try:
            self._begin()
            if self._request.detach:
                return self._running()
            self._following = Following(self._app, self._job, self._log_dir)
            ends = self._following.run()
        except KeyboardInterrupt as exc:
            raise self._stopped(Interrupted.of(exc)) from exc
        except BootstrapError as exc:
            raise self._stopped(exc) from exc
        except OSError as exc:
            error = BootstrapError(f"The output could not be written: {exc.strerror or exc}.", code="output-failed")
            raise self._stopped(error) from exc
        return self._report(ends)

    def _begin(self) -> None:
        """Connect to all nodes, send the code, and start."""
        nodes = self._job.nodes
        with connected(self._app, nodes) as connections:
            check_free(self._job, connections)
            if not self._request.detach:
                self._log_dir = new_log_dir(self._request.log_dir, self._job)
            if self._request.sync:
                self._send(connections)
            with output.working(f"Starting {self._job.name}"):
                self._may_run = True
                jobs.start(self._job, self._request.task, connections)

    def _send(self, connections: Mapping[int, Connection]) -> None:
        code = self._request.code
        with output.working(f"Sending {code.folder} to ~/{code.name} on all nodes"):
            send(self._app, code, self._request.log_dir.absolute(), self._job.nodes, connections)

    def _running(self) -> ClusterJobReport:
        """Return the report of a job that was started."""
        results: list[NodeResult] = []
        for node in self._job.nodes:
            results.append(NodeResult(node.rank, node.host.instance_id, node.alias, None))
        return ClusterJobReport(
            cluster_id=self._job.cluster_id,
            region=self._region,
            job=self._job.name,
            succeeded=None,
            outcome="running",
            reason=None,
            culprit=None,
            log_dir=None,
            results=tuple(results),
        )

    def _report(self, ends: Sequence[End]) -> ClusterJobReport:
        report = report_of(self._job, self._region, ends, self._log_dir, self._restarts)
        return replace(report, again=self._request.again)

    def _stopped(self, error: BootstrapError) -> BootstrapError:
        """Stop the job on all nodes, if it may run on one. Return the error, with what has become of the job."""
        if not self._may_run:
            return error
        job = self._job
        with output.working(f"Stopping {job.name} on all nodes"):
            parts = jobs.stop(self._app, job.name, job.nodes)
            if self._following:
                self._following.close(_LAST_WORDS_SECONDS)
        hints = [error.hint, jobs.not_stopped(job.cluster_id, job.nodes, parts)]
        if self._request.again:
            hints.append(f"Run it again: {PROGRAM} {quoted(*self._request.again)}")
        error.add_details(hint="\n".join(filter(None, hints)) or None)
        ends: list[End] = []
        for node, part in zip(job.nodes, parts, strict=True):
            if isinstance(part, BootstrapError):
                ends.append(End(node, error=part))
            else:
                ends.append(End(node, part))
        report = self._report(ends)
        if not any(end.about for end in ends):
            report = replace(report, succeeded=False, outcome="stopped", reason="It was stopped.", culprit=None)
        return error.attach_result(report)


# --- before the start ------------------------------------------------------------------------------------


def new_log_dir(below: Path, job: Job) -> Path:
    """Create the folder for the logs of a job, and return it. BootstrapError if it cannot be created."""
    path = below / job.cluster_id / job.name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BootstrapError(
            f"The logs cannot be written to {path}: {exc.strerror or exc}.", hint="Choose another --log-dir."
        ) from exc
    return path


@contextlib.contextmanager
def connected(app: App, nodes: Sequence[Node]) -> Iterator[dict[int, Connection]]:
    """Yield a connection to each node, by rank, opened at the same time. SshError if one does not answer."""
    connections: dict[int, Connection] = {}
    try:
        with output.working(f"Connecting to {len(nodes)} nodes"):
            _connect_all(app, nodes, connections)
        yield connections
    finally:
        map_parallel(Connection.close, list(connections.values()))


def _connect_all(app: App, nodes: Sequence[Node], connections: dict[int, Connection]) -> None:
    """Add a connection to each node."""
    for node, found in zip(nodes, on_all(partial(_connect, app, connections), nodes), strict=True):
        if isinstance(found, BootstrapError):
            with hint_on_timeout(app, node.host):
                raise found


def _connect(app: App, connections: dict[int, Connection], node: Node) -> None:
    connections[node.rank] = opened(node.alias, app.paths.ssh_flags)


def check_free(job: Job, connections: Mapping[int, Connection]) -> None:
    """Raise BootstrapError `job-running` if a node runs a job."""
    for found in on_all(partial(_jobs_on, connections), job.nodes):
        if isinstance(found, BootstrapError):
            raise found
        for about in found:
            if about["state"] == "running":
                raise jobs.is_running(job.cluster_id, f"the job {about['id']} is running")


def _jobs_on(connections: Mapping[int, Connection], node: Node) -> list[Mapping[str, object]]:
    return jobs.jobs_of(runs.ask_over(connections[node.rank], node.host, "list", {}))
