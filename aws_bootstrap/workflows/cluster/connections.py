"""One connection to each node, over which all goes that precedes a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError
from ...parallel import map_parallel
from ...ssh_tunnel import Connection, opened
from .. import runs
from ..unreachable import hint_on_timeout
from . import job as jobs
from .nodes import Node, on_all

if TYPE_CHECKING:
    from ...app import App


@contextlib.contextmanager
def connected(app: App, nodes: Sequence[Node]) -> Iterator[dict[int, Connection]]:
    """Yield a connection to each node, by rank, opened at the same time. SshError if one does not answer."""
    with answering(app, nodes) as (connections, silent):
        for node, error in silent.items():
            with hint_on_timeout(app, node.host):
                raise error
        yield connections


@contextlib.contextmanager
def answering(app: App, nodes: Sequence[Node]) -> Iterator[tuple[dict[int, Connection], dict[Node, BootstrapError]]]:
    """Yield a connection to each node that answers, by rank, and the others with their errors."""
    connections: dict[int, Connection] = {}
    silent: dict[Node, BootstrapError] = {}
    try:
        with output.working(f"Connecting to {len(nodes)} nodes"):
            for node, found in zip(nodes, on_all(partial(_connect, app, connections), nodes), strict=True):
                if isinstance(found, BootstrapError):
                    silent[node] = found
        yield connections, silent
    finally:
        map_parallel(Connection.close, list(connections.values()))


def _connect(app: App, connections: dict[int, Connection], node: Node) -> None:
    connections[node.rank] = opened(node.alias, app.paths.ssh_flags)


def check_free(cluster_id: str, nodes: Sequence[Node], connections: Mapping[int, Connection]) -> None:
    """Raise BootstrapError `job-running` if a node runs a job."""
    for found in on_all(partial(_jobs_on, connections), nodes):
        if isinstance(found, BootstrapError):
            raise found
        for about in found:
            if about["state"] == "running":
                raise jobs.is_running(cluster_id, f"the job {about['id']} is running")


def _jobs_on(connections: Mapping[int, Connection], node: Node) -> list[Mapping[str, object]]:
    return jobs.jobs_of(runs.ask_over(connections[node.rank], node.host, "list", {}))
