"""Write on each node of a cluster who the others are: for its guardian, and as names that resolve."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...errors import BootstrapError, IncompleteError, SshError
from ...invocation import PROGRAM
from ...parallel import map_parallel
from ...ssh import quoted, wrapped

if TYPE_CHECKING:
    from ...app import App

PEERS_FILE = "/etc/aws-bootstrap/peers.json"
HOSTS_FILE = "/etc/hosts"
_RESOURCES = files("aws_bootstrap") / "resources"
# Not `python3` first: that is the virtual environment's.
_PYTHON = 'p=/usr/bin/python3; [ -x $p ] || p=python3; exec $p -I - "$@"'
_COMMAND = wrapped(quoted("sudo", "-n", "sh", "-c", _PYTHON, "put-peers", PEERS_FILE, HOSTS_FILE))
#: For each node, in seconds.
_LIMIT = 60.0


@dataclass(frozen=True)
class Peer:
    """A node, as the others reach it."""

    alias: str
    rank: int
    private_ip: str


def write_peers(app: App, cluster_id: str, nodes: Sequence[Peer]) -> None:
    """Write on all these nodes, which are all that the cluster has, the peers of its guardian and the nodes' names.

    What was there before is replaced, so it may be repeated. IncompleteError `peers-failed` with the names of the nodes
    on which it failed, after all were tried: until it is repeated, such a node does not know what the others do.
    """
    by_rank = sorted(nodes, key=lambda node: node.rank)
    fresh = secrets.token_hex(16)
    answers = _write(app, cluster_id, by_rank, by_rank, {"secret": fresh, "keep_secret": True})
    written = [node for node in by_rank if isinstance(answers[node.alias], str)]
    # Nodes that were there before have a secret, which is kept: one that cannot be reached now still has it.
    agreed = next((answers[node.alias] for node in written if answers[node.alias] != fresh), fresh)
    others = [node for node in written if answers[node.alias] != agreed]
    answers |= _write(app, cluster_id, by_rank, others, {"secret": agreed, "keep_secret": False})
    failed = {alias: answer for alias, answer in answers.items() if isinstance(answer, BootstrapError)}
    if failed:
        raise _failure(cluster_id, len(nodes), failed)


def _write(
    app: App, cluster_id: str, nodes: Sequence[Peer], written: Sequence[Peer], secret: Mapping[str, Any]
) -> dict[str, str | BootstrapError]:
    """Write the files on some of the nodes. Return by alias the secret that each has now, or why it has none."""
    write_one = partial(_write_one, app, cluster_id, nodes, secret)
    answers = map_parallel(write_one, written)
    return {node.alias: answer for node, answer in zip(written, answers, strict=True)}


def _failure(cluster_id: str, count: int, failed: Mapping[str, BootstrapError]) -> BootstrapError:
    """Return the error for nodes on which the files could not be written."""
    first = next(iter(failed.values()))
    again = f"Repeat it: {PROGRAM} cluster launch --cluster-id {cluster_id} --nodes {count}"
    return IncompleteError(
        f"The other nodes could not be written to {', '.join(failed)}: {first}",
        hint="\n".join(filter(None, (first.hint, again))),
        code="peers-failed",
    )


def _write_one(
    app: App, cluster_id: str, nodes: Sequence[Peer], secret: Mapping[str, Any], node: Peer
) -> str | BootstrapError:
    """Write the files on one node. Return its secret, or why it has none."""
    others: list[dict[str, str]] = []
    for other in nodes:
        if other.alias != node.alias:
            others.append({"alias": other.alias, "address": other.private_ip})
    spec = {"cluster_id": cluster_id, "alias": node.alias, "address": node.private_ip, **secret, "peers": others}
    try:
        done = app.ssh.run(node.alias, _COMMAND, stdin=_program(spec), limit=_LIMIT)
    except BootstrapError as exc:
        return exc
    last_line = done.lines[-1] if done.lines else "no output"
    if done.exit_code:
        return SshError(f"{node.alias}: {last_line}")
    try:
        kept = str(json.loads(last_line)["secret"])
    except (ValueError, KeyError, TypeError):
        return SshError(f"{node.alias} did not answer as expected")
    app.hidden.append(kept)
    return kept


def _program(spec: Mapping[str, Any]) -> bytes:
    """Return the program that writes the files, as Python reads it."""
    text = (_RESOURCES / "cluster" / "put_peers.py").read_text()
    blocks = (_RESOURCES / "put_block.py").read_text()
    # Literals of Python: what they hold is data there.
    return f"{text}\n\nmain({dict(spec)!r}, {blocks!r})\n".encode()
