"""Which clusters exist, and their nodes: the boxes that carry a cluster's tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError
from ...invocation import PROGRAM
from ...models import RegionFailure
from ...outcomes import unread_regions
from ...parallel import gather
from ...sshconfig import Host, node_alias
from ..box import Box
from ..inventory import VolumeReading, managed_hosts, read
from ..owners import find_owner, is_of_another

if TYPE_CHECKING:
    from ...app import App


@dataclass(frozen=True)
class Cluster:
    """A cluster and its nodes that have not ended, by rank."""

    cluster_id: str
    nodes: tuple[Box, ...]

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions of its nodes: one, unless two clusters have the same id."""
        return tuple(dict.fromkeys(box.region for box in self.nodes))

    @property
    def region(self) -> str | None:
        """Return its region; None where its nodes are in several."""
        regions = self.regions
        if len(regions) != 1:
            return None
        return regions[0]

    @property
    def owner(self) -> str | None:
        """Return who owns its nodes, as the tag of the first of them says."""
        return self.nodes[0].instance.owner

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return the ranks that its nodes have."""
        return tuple(rank_of(box) for box in self.nodes)


def rank_of(box: Box) -> int:
    """Return the rank of a node. A node whose tags somebody has edited comes first."""
    return box.instance.rank or 0


def alias_of(cluster_id: str, rank: int) -> str:
    """Return the alias of a node."""
    return node_alias(cluster_id, rank)


def find(app: App, cluster_id: str, regions: Sequence[str] = (), *, volumes: VolumeReading = "none") -> Cluster | None:
    """Return the cluster of that id in these regions, in all enabled ones without any; None if no node of it exists.

    BootstrapError `region-failed` if none was found and a region could not be read, `not-yours` if it is another's,
    `usage` if its nodes are in several regions.
    """
    read_clusters = partial(find_all, app, regions, volumes=volumes)
    (clusters, failed), caller = gather(read_clusters, partial(find_owner, app))
    for cluster in clusters:
        if cluster.cluster_id == cluster_id:
            _check(cluster, caller)
            return cluster
    unread = unread_regions(failed)
    if unread:
        raise unread
    return None


def get(app: App, cluster_id: str, regions: Sequence[str] = (), *, volumes: VolumeReading = "none") -> Cluster:
    """Return the cluster of that id, as `find` does. BootstrapError `not-found` if no node of it exists."""
    cluster = find(app, cluster_id, regions, volumes=volumes)
    if cluster is None:
        raise not_found(cluster_id)
    return cluster


def not_found(cluster_id: str) -> BootstrapError:
    """Return the error for an id that no cluster has."""
    return BootstrapError(
        f"There is no cluster {cluster_id}.",
        hint=f"Show your clusters: {PROGRAM} cluster status",
        code="not-found",
    )


def _check(cluster: Cluster, caller: str | None) -> None:
    """Raise BootstrapError if the cluster is another's, or in several regions."""
    if is_of_another(cluster.owner, caller):
        raise BootstrapError(
            f"The cluster {cluster.cluster_id} is not yours: its owner is {cluster.owner}.",
            hint="Choose another --cluster-id.",
            code="not-yours",
        )
    if len(cluster.regions) > 1:
        raise BootstrapError(
            f"The cluster {cluster.cluster_id} has nodes in {', '.join(cluster.regions)}.",
            hint="Name the --region.",
            code="usage",
        )


def find_all(
    app: App, regions: Sequence[str] = (), *, volumes: VolumeReading = "none"
) -> tuple[list[Cluster], tuple[RegionFailure, ...]]:
    """Return the clusters of these regions by id, all enabled ones without any; and the regions that did not answer."""
    inventory = read(app, regions, volumes=volumes, hosts=readable_hosts(app))
    return of_boxes(inventory.boxes), inventory.failed


def of_boxes(boxes: Iterable[Box]) -> list[Cluster]:
    """Return the clusters that these boxes form, by id. Boxes that have ended, and those of their own, are left out."""
    by_id: dict[str, list[Box]] = {}
    for box in boxes:
        if box.instance.cluster and not box.has_ended:
            by_id.setdefault(box.instance.cluster, []).append(box)
    clusters: list[Cluster] = []
    for cluster_id in sorted(by_id):
        nodes = sorted(by_id[cluster_id], key=rank_of)
        clusters.append(Cluster(cluster_id, tuple(nodes)))
    return clusters


def readable_hosts(app: App) -> list[Host]:
    """Return the hosts of the SSH config; none, with a warning, if it cannot be read."""
    try:
        return managed_hosts(app)
    except BootstrapError as exc:
        output.warn(str(exc), code=exc.code)
        return []
