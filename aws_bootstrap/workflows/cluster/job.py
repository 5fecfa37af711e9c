"""A job of a cluster: its name, what each node gets of it, and how its parts are started and stopped.

On each node it is a run (`workflows/runs.py`) of the same name, whose command is the agent of resources/gang. The
agents end it everywhere when anything goes wrong on one node.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...errors import BootstrapError, SshError
from ...invocation import PROGRAM
from ...ssh import ONCE
from .. import runs
from .nodes import Node, named, on_all

if TYPE_CHECKING:
    from ...app import App
    from ...ssh_tunnel import Connection

_GANG = files("aws_bootstrap") / "resources" / "gang"
#: Not the virtual environment's first: the agent needs the standard library alone.
_COMMAND = 'p=/usr/bin/python3; [ -x $p ] || p=python3; exec $p -s -E "$AWS_BOOTSTRAP_RUN_FOLDER/gang.py"'
#: For systemd to end a part: the agent needs 10 s for its processes and as long for the other agents, systemd 90 s.
_STOP_SECONDS = 120.0
_LIST_SECONDS = 20.0


@dataclass(frozen=True)
class Task:
    """What a job runs on each node."""

    #: Relative to the folder.
    script: str
    arguments: tuple[str, ...] = ()
    #: `torchrun`, or `shell` for a script that is run once on each node.
    launcher: str = "torchrun"
    #: Relative to the folder; None without one.
    data_script: str | None = None
    #: Processes on each node: a number, or `auto` for one for each GPU.
    nproc: str = "auto"
    checkpoint_dir: str = ""
    #: Below the home folder; None is the folder of the run, which has the files.
    folder: str | None = None
    #: Texts by the names of the files that it needs there.
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job and its nodes, by rank."""

    name: str
    cluster_id: str
    nodes: tuple[Node, ...]


def new_name(after: str | None = None, now: datetime | None = None) -> str:
    """Return the name of a job that begins now. It is later than that of the job before it."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    while after is not None and _name(moment) <= after:
        moment += timedelta(seconds=1)
    return _name(moment)


def _name(moment: datetime) -> str:
    return f"job-{moment:%Y%m%d-%H%M%S}"


def spec_of(job: Job, task: Task) -> dict[str, Any]:
    """Return what all agents of a job are given; each has its `position` besides."""
    nproc: str | int = task.nproc
    if task.nproc.isdecimal():
        nproc = int(task.nproc)
    folder = None
    if task.folder is not None:
        folder = f"~/{task.folder}"
    return {
        "job": job.name,
        "cluster_id": job.cluster_id,
        "nodes": [{"rank": node.rank, "address": node.address} for node in job.nodes],
        "token": secrets.token_hex(16),
        "launcher": task.launcher,
        "script": task.script,
        "arguments": list(task.arguments),
        "data_script": task.data_script,
        "nproc": nproc,
        "folder": folder,
        "checkpoint_dir": task.checkpoint_dir or None,
    }


def _agent() -> dict[str, str]:
    """Return the files of the agent."""
    found: dict[str, str] = {}
    for file in _GANG.iterdir():
        if file.name.endswith(".py") and file.name != "__init__.py":
            found[file.name] = file.read_text()
    return found


# --- start -----------------------------------------------------------------------------------------------


def start(job: Job, task: Task, connections: Mapping[int, Connection]) -> None:
    """Start a job on all its nodes at once. BootstrapError with the first reason if it did not start on one of them.

    The caller stops it then: on the other nodes it may have started.
    """
    spec = spec_of(job, task)
    sent = {**_agent(), **task.files}
    for result in on_all(partial(_start_part, job, spec, sent, connections), job.nodes):
        if isinstance(result, BootstrapError):
            raise result


def _start_part(
    job: Job, spec: Mapping[str, Any], sent: Mapping[str, str], connections: Mapping[int, Connection], node: Node
) -> None:
    """Start the part of one node."""
    position = job.nodes.index(node)
    new = runs.NewRun(
        _COMMAND,
        name=job.name,
        files={**sent, "spec.json": json.dumps({**spec, "position": position})},
        cluster={"id": job.cluster_id, "rank": node.rank},
    )
    answer = runs.ask_over(connections[node.rank], node.host, "start", new.spec())
    if "error" in answer:
        raise _refused(job.cluster_id, node, answer["error"])


def _refused(cluster_id: str, node: Node, error: Mapping[str, str]) -> BootstrapError:
    """Return the error of a node that did not start its part."""
    if error["code"] == "job-running":
        return is_running(cluster_id, error["message"])
    return runs.box_error(node.host, error, None)


def is_running(cluster_id: str, what: str) -> BootstrapError:
    """Return the error for a cluster that has a job already."""
    return BootstrapError(
        f"{cluster_id}: {what}.",
        hint=f"Follow it: {PROGRAM} cluster attach --cluster-id {cluster_id}\n"
        f"Or stop it: {PROGRAM} cluster cancel --cluster-id {cluster_id}",
        code="job-running",
    )


# --- stop ------------------------------------------------------------------------------------------------

#: The part of a job as its node has noted it, None where the node has none; or why that is unknown.
type Part = Mapping[str, Any] | None | BootstrapError


def stop(app: App, name: str, nodes: Sequence[Node]) -> list[Part]:
    """Stop the job of that name on all nodes at once, and wait until it has ended there. Return what each has noted."""
    return on_all(partial(_stop_part, app, name), nodes)


def _stop_part(app: App, name: str, node: Node) -> Mapping[str, Any] | None:
    """Stop the part of one node. Return it as the node has noted it."""
    answer = runs.ask(app, node.host, "stop", {"run": name}, timeouts=ONCE, limit=_STOP_SECONDS)
    if "error" in answer:
        raise runs.box_error(node.host, answer["error"], name)
    found: Mapping[str, Any] | None = answer["run"]
    return found


def not_stopped(cluster_id: str, nodes: Sequence[Node], parts: Sequence[Part]) -> str | None:
    """Return what to say of nodes on which the job could not be stopped; None if there are none."""
    failed: list[Node] = []
    reason = ""
    for node, part in zip(nodes, parts, strict=True):
        if isinstance(part, BootstrapError):
            failed.append(node)
            reason = reason or str(part)
    if not failed:
        return None
    said = f"The job could not be stopped on {named([node.rank for node in failed])}: {reason}\n"
    if len(failed) < len(nodes):
        return f"{said}There it ends by itself, once its agent misses the other nodes."
    return f"{said}It goes on. Stop it later: {PROGRAM} cluster cancel --cluster-id {cluster_id}"


# --- which there are -------------------------------------------------------------------------------------


def parts(app: App, nodes: Sequence[Node]) -> list[list[Mapping[str, Any]] | BootstrapError]:
    """Return the jobs' parts that each node knows, or why they are unknown."""
    return on_all(partial(_parts_of, app), nodes)


def _parts_of(app: App, node: Node) -> list[Mapping[str, Any]]:
    answer = runs.ask(app, node.host, "list", {}, timeouts=ONCE, limit=_LIST_SECONDS)
    if "error" in answer:
        raise SshError(f"{node.alias}: {answer['error']['message']}")
    return jobs_of(answer)


def jobs_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return those runs of a node's list that are parts of jobs."""
    return [about for about in answer["runs"] if about.get("cluster")]
