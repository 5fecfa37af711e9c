"""The checkpoints of a job: a node that was replaced gets those of another one, through this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ... import output, ssh_copy
from ...errors import BootstrapError
from ...models.transfer import size_text
from .connections import connected
from .nodes import Node, named, on_all

if TYPE_CHECKING:
    from ...app import App
    from ...ssh_tunnel import Connection

#: Prints what a folder has: its path, when its newest file was written, how many files and bytes there are.
_LOOK = """
import json, os, sys
folder = os.path.expanduser(sys.argv[1])
newest, count, size = 0, 0, 0
for place, _, names in os.walk(folder):
    for name in names:
        facts = os.lstat(os.path.join(place, name))
        newest, count, size = max(newest, facts.st_mtime), count + 1, size + facts.st_size
print(json.dumps({"path": folder, "newest": newest, "count": count, "bytes": size}))
"""


@dataclass(frozen=True)
class Folder:
    """The folder of the checkpoints on one node."""

    node: Node
    path: str
    #: When its newest file was written, by the node's clock.
    newest: float
    count: int
    bytes: int


def spread(app: App, nodes: Sequence[Node], path: str) -> None:
    """Copy the folder of the node that has the newest checkpoint to the nodes that have none."""
    with connected(app, nodes) as connections:
        folders = _look(nodes, path, connections)
        source = max(folders, key=_age)
        empty = [folder for folder in folders if not folder.count]
        if not source.count or not empty:
            return
        ranks = named([folder.node.rank for folder in empty])
        title = f"Copying the checkpoints of node {source.node.rank} ({size_text(source.bytes)}) to {ranks}"
        with output.working(title):
            copy = partial(_copy, source, empty, connections)
            for result in on_all(copy, [folder.node for folder in empty]):
                if isinstance(result, BootstrapError):
                    raise result


def _look(nodes: Sequence[Node], path: str, connections: Mapping[int, Connection]) -> list[Folder]:
    """Return what each node has. BootstrapError if one does not answer."""
    folders: list[Folder] = []
    for found in on_all(partial(_folder_of, path, connections), nodes):
        if isinstance(found, BootstrapError):
            raise found
        folders.append(found)
    return folders


def _folder_of(path: str, connections: Mapping[int, Connection], node: Node) -> Folder:
    code, answer, words = connections[node.rank].run("python3", "-I", "-c", _LOOK, path)
    if code:
        raise BootstrapError(f"The checkpoints of {node.alias} could not be listed: {words}", code="copy-failed")
    found = json.loads(answer)
    return Folder(node, found["path"], found["newest"], found["count"], found["bytes"])


def _age(folder: Folder) -> float:
    return folder.newest


def _copy(source: Folder, empty: Sequence[Folder], connections: Mapping[int, Connection], node: Node) -> None:
    """Copy the folder to one node."""
    target = next(folder for folder in empty if folder.node == node)
    ssh_copy.relay(connections[source.node.rank], source.path, connections[node.rank], target.path)
