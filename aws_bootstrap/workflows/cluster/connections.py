"""One connection to each node, over which all goes that precedes a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError
from ...parallel import map_parallel
from ...ssh_tunnel import Connection, opened
from ..unreachable import hint_on_timeout
from .nodes import Node, on_all

if TYPE_CHECKING:
    from ...app import App


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
