"""Run a job on all nodes of a cluster: check, send the code, start, follow, and stop it everywhere after Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import ClusterJobReport, JobRestart, NodeResult
from ...ssh import quoted
from ...ssh_tunnel import Connection
from ..inventory import VolumeReading
from . import job as jobs
from . import members
from .code import Code, send
from .connections import check_free, connected
from .following import End, Following, shown
from .job import Job, Task
from .nodes import all_ready
from .outcome import report_of
from .restarts import LaunchMissing, Replacement

if TYPE_CHECKING:
    from ...app import App


#: The outcomes after which a job is not started again: somebody has stopped it, or nothing is known of it.
_FINAL = ("running", "stopped", "unknown")
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


def run(app: App, request: Request, launch_missing: LaunchMissing) -> ClusterJobReport:
    """Run a job to its end, or with `detach` only start it. Return how it has ended.

    A job that fails is started again as often as requested, with new nodes for those that are lost. After an interrupt
    or an error of this side it is stopped on all nodes.
    """
    volumes: VolumeReading = "beside" if request.max_restarts else "none"
    cluster = members.get(app, request.cluster_id, request.regions, volumes=volumes)
    job = Job(jobs.new_name(), request.cluster_id, all_ready(cluster))
    restarts: list[JobRestart] = []
    while True:
        report = Attempt(app, request, job, cluster.region, restarts).run()
        if report.succeeded or report.outcome in _FINAL or len(restarts) == request.max_restarts:
            return report
        output.warn(
            f"{report.job} failed: {report.reason} It is started again, {len(restarts) + 1} of {request.max_restarts}.",
            code="job-restarted",
        )
        replacement = Replacement(app, cluster, launch_missing)
        try:
            cluster = replacement.run(report, request.task.checkpoint_dir)
            nodes = all_ready(cluster)
        except BootstrapError as exc:
            raise exc.attach_result(report) from exc
        except KeyboardInterrupt as exc:
            raise Interrupted.of(exc).attach_result(report) from exc
        restarts.append(JobRestart(report.job, report.outcome, str(report.reason), replacement.lost))
        job = Job(jobs.new_name(report.job), request.cluster_id, nodes)


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
            assert self._log_dir  # `_begin` has created it
            self._following = shown(self._app, self._job, self._log_dir)
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
            check_free(self._job.cluster_id, nodes, connections)
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
