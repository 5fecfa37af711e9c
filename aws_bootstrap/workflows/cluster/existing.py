"""Jobs that were started before: show their logs, follow them to their end, stop them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import output
from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import ClusterCancelReport, ClusterJobReport, ClusterLogReport, NodeLog
from ...parallel import map_few_at_once
from ...ssh_bytes import Frames, Lines, Prefixed
from ...ssh_frame import Tail
from ...ssh_session import Sessions
from .. import logs
from ..remote import KEPT_BYTES
from . import job as jobs
from .following import End, shown
from .job import Job
from .members import Cluster
from .nodes import Node, reachable
from .outcome import report_of, result_of
from .run import new_log_dir

if TYPE_CHECKING:
    from ...app import App


@dataclass(frozen=True)
class Found:
    """A job that exists, or none, and the nodes of the cluster that do not answer, with the reasons."""

    #: With the nodes that have a part of it.
    job: Job | None
    is_running: bool
    unknown: tuple[tuple[Node, BootstrapError], ...]


def find(app: App, cluster: Cluster, name: str | None) -> Found:
    """Return the job of that name; without one the job that runs, or else the newest.

    BootstrapError with the first reason if no node answers, `not-found` if none has a job of that name.
    """
    nodes = reachable(cluster)
    parts_by_node: dict[Node, Sequence[Mapping[str, Any]]] = {}
    unknown: list[tuple[Node, BootstrapError]] = []
    for node, found in zip(nodes, jobs.parts(app, nodes), strict=True):
        if isinstance(found, BootstrapError):
            unknown.append((node, found))
        else:
            parts_by_node[node] = found
    if not parts_by_node:
        raise unknown[0][1]
    chosen = name or _newest(parts_by_node)
    if chosen is None:
        return Found(None, False, tuple(unknown))
    states = _states_of(chosen, parts_by_node)
    if not states:
        raise BootstrapError(
            f"{cluster.cluster_id} has no job {name}.",
            hint=f"Show the log of its newest one: {PROGRAM} cluster logs --cluster-id {cluster.cluster_id}",
            code="not-found",
        )
    job = Job(chosen, cluster.cluster_id, tuple(states))
    return Found(job, "running" in states.values(), tuple(unknown))


def _states_of(name: str, parts_by_node: Mapping[Node, Sequence[Mapping[str, Any]]]) -> dict[Node, str]:
    """Return the nodes that have a part of the job, by rank, and its states there."""
    states: dict[Node, str] = {}
    for node, parts in parts_by_node.items():
        for part in parts:
            if part["id"] == name:
                states[node] = part["state"]
    return states


def _newest(parts_by_node: Mapping[Node, Sequence[Mapping[str, Any]]]) -> str | None:
    """Return the name of the job that runs, or else of the newest one: their names sort by time."""
    running: set[str] = set()
    names: set[str] = set()
    for parts in parts_by_node.values():
        for part in parts:
            names.add(part["id"])
            if part["state"] == "running":
                running.add(part["id"])
    return max(running or names, default=None)


def get(app: App, cluster: Cluster, name: str | None) -> tuple[Job, Found]:
    """Return the job as `find` does, the nodes that do not answer warned of. BootstrapError `not-found` without one."""
    found = find(app, cluster, name)
    if found.job is None:
        raise BootstrapError(
            f"No job was run on {cluster.cluster_id}.",
            hint=f"Run one: {PROGRAM} cluster run --help",
            code="not-found",
        )
    for node, error in found.unknown:
        output.warn(str(error), code=error.code, instance_id=node.host.instance_id, region=node.host.region)
    return found.job, found


# --- attach ----------------------------------------------------------------------------------------------


def attach(app: App, cluster: Cluster, name: str | None, log_dir: Path) -> ClusterJobReport:
    """Follow a job on all nodes to its end, and write its logs. Return how it has ended. An interrupt detaches."""
    job, found = get(app, cluster, name)
    folder = new_log_dir(log_dir, job)
    following = shown(app, job, folder)
    try:
        ends = following.run()
    except KeyboardInterrupt as exc:
        following.close()
        words = f"--cluster-id {job.cluster_id} --job {job.name}"
        hint = f"The job goes on. Follow it again: {PROGRAM} cluster attach {words}"
        raise Interrupted.of(exc, hint=hint) from exc
    ends += [End(node, error=error) for node, error in found.unknown]
    ends.sort(key=_rank)
    return report_of(job, cluster.region, ends, folder)


def _rank(end: End) -> int:
    return end.node.rank


# --- logs ------------------------------------------------------------------------------------------------


def show_logs(app: App, cluster: Cluster, name: str | None, rank: int | None, log: logs.Log) -> ClusterLogReport:
    """Pass on the log of a job: of one rank as it is, of all with the rank before each line. A document has its end."""
    job, found = get(app, cluster, name)
    nodes = [node for node in job.nodes if rank in (None, node.rank)]
    if not nodes:
        raise BootstrapError(f"Node {rank} has no part of {job.name} that can be read.", code="not-found")
    log = replace(log, run=job.name)
    with Sessions(app.ssh, logs.ANSWER_SECONDS) as sessions:
        read = partial(_log_of, app, sessions, log, is_alone=rank is not None)
        at_once = 1  # those that are shown come one after the other
        if log.follow or not app.passes_streams:
            at_once = len(nodes)
        read_logs = map_few_at_once(read, nodes, at_once)
    results: list[NodeLog] = []
    for node, error in found.unknown:
        if rank in (None, node.rank):
            results.append(NodeLog(node.rank, node.host.instance_id, node.alias, error=str(error)))
    results = sorted([*read_logs, *results], key=_log_rank)
    return ClusterLogReport(job.cluster_id, job.name, tuple(results))


def _log_rank(log: NodeLog) -> int:
    return log.rank


def _log_of(app: App, sessions: Sessions, log: logs.Log, node: Node, *, is_alone: bool) -> NodeLog:
    """Pass on the log of one node, or return its end for a document."""
    tail = Tail(KEPT_BYTES)
    write: Callable[[bytes], object] = tail.take
    lines = Lines(Prefixed(f"rank {node.rank}", app.console.pass_on).take)
    if app.passes_streams:
        write = app.console.pass_on if is_alone else lines.take
    frames = Frames(write)
    known = NodeLog(node.rank, node.host.instance_id, node.alias)
    try:
        logs.read(app, sessions, node.host, log, frames)
    except BootstrapError as exc:
        output.warn(str(exc), code=exc.code, instance_id=node.host.instance_id, region=node.host.region)
        return replace(known, error=str(exc))
    lines.take(b"")
    if app.passes_streams:
        return known
    return replace(known, output=tail.text(), truncated=tail.is_truncated)


# --- cancel ----------------------------------------------------------------------------------------------


def cancel(app: App, cluster: Cluster, name: str | None) -> ClusterCancelReport:
    """Stop a job on all nodes, and wait until it has ended there. Return what has become of it on each."""
    found = find(app, cluster, name)
    if found.job is None or not (name or found.is_running):
        unknown = [result_of(node, error) for node, error in found.unknown]
        return ClusterCancelReport(cluster.cluster_id, None, tuple(unknown))
    nodes = [*found.job.nodes, *[node for node, _ in found.unknown]]
    nodes.sort(key=_node_rank)
    with output.working(f"Stopping {found.job.name} on {len(nodes)} nodes"):
        parts = jobs.stop(app, found.job.name, nodes)
    results = [result_of(node, part) for node, part in zip(nodes, parts, strict=True)]
    return ClusterCancelReport(cluster.cluster_id, found.job.name, tuple(results))


def _node_rank(node: Node) -> int:
    return node.rank
