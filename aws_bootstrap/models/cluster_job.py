"""Jobs of a cluster, and the results of `cluster run`, `attach`, `logs` and `cancel`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, optional, private
from .facts import RegionFailure


@dataclass(frozen=True)
class NodeResult:
    """What a job's part on one node has come to."""

    rank: int
    instance_id: str
    ssh_alias: str
    #: Of the node's agent: 0 if the job has succeeded, the job's own exit code where it failed, 75 where another node
    #: ended it. Null while it runs, and where it is unknown.
    returncode: int | None
    #: Why it is unknown.
    error: str | None = optional()


@dataclass(frozen=True)
class JobRestart:
    """A job that failed and was started again under another name."""

    #: The job that failed.
    job: str
    outcome: str
    reason: str
    #: The ranks whose nodes were replaced.
    replaced: tuple[int, ...]


@dataclass(frozen=True)
class ClusterJobReport(Result):
    """A job on all nodes of a cluster."""

    cluster_id: str
    region: str | None
    job: str
    #: Null while it runs, and where it is unknown.
    succeeded: bool | None
    #: `running`, `unknown`, `done`, or what ended it: `job-failed`, `data-script-failed`, `node-lost`, `spot-notice`,
    #: `stopped`, `join-timeout`, `agent-failed`.
    outcome: str
    #: One sentence; null while it runs.
    reason: str | None
    #: The rank of the node that the reason is about.
    culprit: int | None
    #: Where the logs are on this machine, one a rank; null if none were written.
    log_dir: str | None
    results: tuple[NodeResult, ...]
    #: What --max-restarts has started again before this job, the oldest first.
    restarts: tuple[JobRestart, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The command line that starts it again.
    again: tuple[str, ...] = private(())


@dataclass(frozen=True)
class NodeLog:
    """The log of a job on one node."""

    rank: int
    instance_id: str
    ssh_alias: str
    #: The end of the log.
    output: str | None = optional()
    truncated: bool | None = optional()
    #: Why it could not be read.
    error: str | None = optional()


@dataclass(frozen=True)
class ClusterLogReport(Result):
    """The logs of a job."""

    cluster_id: str
    job: str
    results: tuple[NodeLog, ...]
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class ClusterCancelReport(Result):
    """A job that was stopped on all nodes."""

    cluster_id: str
    #: Null if none was running.
    job: str | None
    results: tuple[NodeResult, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
