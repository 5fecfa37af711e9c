"""The nodes of a cluster as a job sees them: all of them run, each is reachable, and no rank is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...outcomes import unread_regions
from ...parallel import gather, map_parallel
from ...sshconfig import Host
from ..box import Box
from ..owners import find_owner, is_of_another
from ..pick import running_host
from . import members
from .members import Cluster, rank_of

if TYPE_CHECKING:
    from ...app import App


@dataclass(frozen=True)
class Node:
    """A node that runs, and how ssh and the other nodes reach it."""

    rank: int
    host: Host
    #: Its address within its VPC.
    address: str

    @property
    def alias(self) -> str:
        """Return its alias on this machine."""
        return self.host.alias


def chosen(app: App, cluster_id: str | None, regions: Sequence[str]) -> Cluster:
    """Return the cluster of that id; without one the only one there is. UsageError if a person must choose."""
    if cluster_id is not None:
        return members.get(app, cluster_id, regions)
    (found, failed), caller = gather(partial(members.find_all, app, regions), partial(find_owner, app))
    clusters = [cluster for cluster in found if not is_of_another(cluster.owner, caller)]
    unread = unread_regions(failed)
    if not clusters:
        raise unread or BootstrapError(
            "You have no cluster.", hint=f"Launch one: {PROGRAM} cluster launch --help", code="not-found"
        )
    if unread:
        output.warn(str(unread), code=unread.code)
    ids = [cluster.cluster_id for cluster in clusters]
    number = 0 if len(ids) == 1 else app.choose("Which cluster?", ids)
    if number is None:
        raise UsageError(
            f"You have {len(ids)} clusters: {', '.join(ids)}. Name the one that you mean with --cluster-id.",
            hint=f"Show them: {PROGRAM} cluster status",
        )
    return clusters[number]


def all_ready(cluster: Cluster) -> tuple[Node, ...]:
    """Return the nodes by rank. BootstrapError if a rank is missing, or one does not run or has no alias."""
    _check_ranks(cluster)
    return tuple(_ready(box) for box in cluster.nodes)


def reachable(cluster: Cluster) -> tuple[Node, ...]:
    """Return the nodes that run and have an alias, by rank. BootstrapError if there is none."""
    found: list[Node] = []
    for box in cluster.nodes:
        if box.instance.state == "running" and box.host is not None:
            found.append(Node(rank_of(box), box.host, box.instance.private_ip or ""))
    if not found:
        _ready(cluster.nodes[0])
    return tuple(found)


def _ready(box: Box) -> Node:
    """Return the node of a box. BootstrapError if it does not run, or cannot be reached."""
    host = running_host(box, "used for a job")
    if box.instance.private_ip is None:
        raise BootstrapError(f"EC2 reports no private address of {host.alias}.", code="unexpected-reply")
    return Node(rank_of(box), host, box.instance.private_ip)


def _check_ranks(cluster: Cluster) -> None:
    """Raise BootstrapError `cluster-incomplete` unless each rank from 0 on is there once."""
    ranks = Counter(cluster.ranks)
    size = max(ranks) + 1
    missing = [rank for rank in range(size) if rank not in ranks]
    if missing:
        raise BootstrapError(
            f"The cluster {cluster.cluster_id} lacks {named(missing)}.",
            hint=f"Launch what is missing: {PROGRAM} cluster launch --cluster-id {cluster.cluster_id} --nodes {size}",
            code="cluster-incomplete",
        )
    double = [rank for rank in ranks if ranks[rank] > 1]
    if double:
        ids = [box.instance_id for box in cluster.nodes if rank_of(box) == double[0]]
        raise BootstrapError(
            f"The cluster {cluster.cluster_id} has node {double[0]} more than once: {', '.join(ids)}.",
            hint=f"End the others: {PROGRAM} terminate {ids[-1]}",
            code="cluster-incomplete",
        )


def named(ranks: Sequence[int]) -> str:
    """Return the nodes of these ranks as a sentence has them: "node 1", "nodes 1, 2 and 3"."""
    if len(ranks) == 1:
        return f"node {ranks[0]}"
    return f"nodes {', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"


def on_all[R](function: Callable[[Node], R], nodes: Sequence[Node]) -> list[R | BootstrapError]:
    """Return what the function returns for each node, or its error, called for all of them at the same time."""
    return map_parallel(partial(_result_or_error, function), nodes)


def _result_or_error[R](function: Callable[[Node], R], node: Node) -> R | BootstrapError:
    try:
        return function(node)
    except BootstrapError as exc:
        return exc
