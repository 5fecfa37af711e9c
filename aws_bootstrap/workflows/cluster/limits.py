"""Change when all nodes of a cluster end by themselves: at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import ExtendedNode, ExtendReport
from ...models.facts import seconds_until
from ...parallel import map_parallel
from ...sshconfig import find_in
from .. import extend
from ..box import Box
from ..extend import LimitChange
from ..inventory import managed_hosts, select
from .members import rank_of

if TYPE_CHECKING:
    from ...app import App

#: Deadlines that differ by no more than this many seconds are the same: each counts from the boot of its node.
_SAME_SECONDS = 120.0

type _Answer = ExtendReport | BootstrapError


def apply(app: App, name: str, change: LimitChange) -> ExtendReport:
    """Change the limits of the box with that alias or id, or of all nodes of the cluster with that id.

    Return those that hold from now on. Errors as those of `extend.apply` and `select`.
    """
    hosts = managed_hosts(app)
    is_cluster = any(host.cluster == name for host in hosts)
    if find_in(hosts, name) or not is_cluster:
        return extend.apply(app, name, change)
    nodes = sorted(select(app, [name], volumes="none"), key=rank_of)
    return change_nodes(app, name, nodes, change)


def change_nodes(app: App, cluster_id: str, nodes: Sequence[Box], change: LimitChange) -> ExtendReport:
    """Change the limits of all nodes. Return those of the first node, which are those of all, and how each went.

    The error of the first node if no limit of any node was changed.
    """
    try:
        answers = map_parallel(partial(_change_node, app, change), nodes)
        if change.more or change.ttl:
            answers = _with_one_deadline(app, nodes, answers)
    except KeyboardInterrupt as exc:
        hint = f"It is not known which nodes have new limits. See: {PROGRAM} status --gpu"
        raise Interrupted.of(exc, hint=hint) from exc
    changed: list[ExtendedNode] = []
    for box, answer in zip(nodes, answers, strict=True):
        changed.append(_node(box, answer, change))
    for answer in answers:
        if isinstance(answer, ExtendReport):
            return replace(answer, cluster_id=cluster_id, nodes=tuple(changed), tag_error=None)
    for answer in answers:
        if isinstance(answer, BootstrapError):
            raise answer
    raise AssertionError("a cluster has nodes")


def _change_node(app: App, change: LimitChange, box: Box) -> _Answer:
    """Change the limits of one node. Return those that it has now, or why they are as before."""
    try:
        return extend.change_box(app, box, change)
    except Interrupted:
        raise
    except BootstrapError as exc:
        return exc


def _with_one_deadline(app: App, nodes: Sequence[Box], answers: list[_Answer]) -> list[_Answer]:
    """Give the nodes whose deadline is earlier than that of another one the latest of them. Return what all have now.

    Somebody may have extended one node alone before.
    """
    deadlines: dict[int, datetime] = {}
    for position, answer in enumerate(answers):
        if isinstance(answer, ExtendReport) and answer.deadline:
            deadlines[position] = answer.deadline
    if not deadlines:
        return answers
    latest = max(deadlines.values())
    behind: list[int] = []
    for position, deadline in deadlines.items():
        if (latest - deadline).total_seconds() > _SAME_SECONDS:
            behind.append(position)
    change = LimitChange(ttl=seconds_until(latest, datetime.now(UTC)))
    again = map_parallel(partial(_change_node, app, change), [nodes[position] for position in behind])
    together = list(answers)
    for position, answer in zip(behind, again, strict=True):
        together[position] = answer
    return together


def _node(box: Box, answer: _Answer, change: LimitChange) -> ExtendedNode:
    """Return how the change went on a node."""
    node = ExtendedNode(rank_of(box), box.instance_id, box.alias)
    if isinstance(answer, ExtendReport):
        return replace(
            node,
            deadline=answer.deadline,
            idle_timeout_seconds=answer.idle_timeout_seconds,
            tag_error=answer.tag_error,
            tag_command=answer.tag_command,
        )
    again = f"Then for this node alone: {PROGRAM} extend {node.ssh_alias or node.instance_id} {_words(change)}"
    hint = "\n".join(filter(None, (answer.hint, again)))
    return replace(node, error=str(answer), error_code=answer.code, hint=hint)


def _words(change: LimitChange) -> str:
    """Return the change as `extend` takes it."""
    words: list[str] = []
    if change.more:
        words.append(f"{change.more:.0f}s")
    if change.never:
        words.append("--never")
    if change.idle_timeout:
        words.append(f"--idle-timeout {change.idle_timeout:.0f}s")
    return " ".join(words)
