"""Which clusters there are, and the state and the cost of the nodes of one, everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2
from ...models import ClusterList, ClusterRow, ClusterStatus, Instance, InstanceStatus, NodeStatus, Prices
from ...models.cost import total
from ...outcomes import unread_regions
from ...parallel import gather
from .. import costs
from ..ended import ended_boxes
from ..inventory import Inventory, read
from ..owners import find_owner, is_yours, warn_if_caller_unknown
from ..status import instance_status, warn_of_unknown_costs
from .members import Cluster, not_found, of_boxes, rank_of, readable_hosts

if TYPE_CHECKING:
    from ...app import App


def read_all(app: App, regions: Sequence[str]) -> ClusterList:
    """Return the clusters of these regions by id, of all enabled ones without any."""
    inventory, caller = _read(app, regions)
    clusters = of_boxes(inventory.boxes)
    prices = costs.read_instance_prices(app, [box.instance for cluster in clusters for box in cluster.nodes])
    rows = [_row(cluster, prices, caller) for cluster in clusters]
    warn_if_caller_unknown(row.yours for row in rows)
    return ClusterList(tuple(rows), inventory.regions, inventory.failed, inventory.denied)


def read_one(app: App, cluster_id: str, regions: Sequence[str]) -> ClusterStatus:
    """Return the nodes of a cluster, also where all have ended, for as long as EC2 reports them.

    BootstrapError `not-found` if there is none, `region-failed` if it may be where nothing could be read.
    """
    inventory, caller = _read(app, regions)
    boxes = [box for box in inventory.boxes if box.instance.cluster == cluster_id]
    ended = [instance for instance in inventory.ended if instance.cluster == cluster_id]
    if not boxes and not ended:
        raise unread_regions(inventory.failed) or not_found(cluster_id)
    boxes.sort(key=rank_of)
    prices, ended_nodes = gather(
        partial(costs.read_instance_prices, app, [box.instance for box in boxes]),
        partial(ended_boxes, app, ended, inventory.hosts, caller),
    )
    now = datetime.now(UTC)
    statuses = [instance_status(box, prices, now, caller) for box in boxes]
    warn_of_unknown_costs(statuses)
    nodes = [_node(box.instance, known) for box, known in zip(boxes, statuses, strict=True)]
    warn_if_caller_unknown(node.yours for node in nodes)
    return ClusterStatus(
        cluster_id=cluster_id,
        region=Cluster(cluster_id, tuple(boxes)).region,
        nodes=tuple(nodes),
        missing_ranks=_missing_ranks([box.instance for box in boxes], ended),
        ended=ended_nodes,
        price_per_hour=total(node.price_per_hour for node in nodes),
        estimated_cost=total([node.estimated_cost for node in nodes], digits=4),
        monthly_cost_usd=total([node.monthly_cost_usd for node in nodes], digits=2),
        yours=_are_yours([box.instance for box in boxes] or ended, caller),
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        regions_denied=inventory.denied,
    )


def _read(app: App, regions: Sequence[str]) -> tuple[Inventory, str | None]:
    """Return everything of these regions, the instances that are terminated too, and the caller if STS answers."""
    hosts = readable_hosts(app)
    return gather(partial(read, app, regions, hosts=hosts, volumes="everything"), partial(find_owner, app))


def _row(cluster: Cluster, prices: Prices, caller: str | None) -> ClusterRow:
    """Return what a list says of a cluster."""
    now = datetime.now(UTC)
    nodes = [instance_status(box, prices, now, caller) for box in cluster.nodes]
    warn_of_unknown_costs(nodes)
    return ClusterRow(
        cluster_id=cluster.cluster_id,
        region=cluster.region,
        node_count=len(nodes),
        price_per_hour=total(node.price_per_hour for node in nodes),
        monthly_cost_usd=total([node.monthly_cost_usd for node in nodes], digits=2),
        owner=cluster.owner,
        yours=_are_yours([box.instance for box in cluster.nodes], caller),
    )


def _are_yours(instances: Iterable[Instance], caller: str | None) -> bool | None:
    """Return whether all of these are the caller's; None if that is unknown of one, and none is another's."""
    answers = [is_yours(instance.owner, caller) for instance in instances]
    if False in answers:
        return False
    return None if None in answers else True


def _node(instance: Instance, known: InstanceStatus) -> NodeStatus:
    """Return the status of one node."""
    return NodeStatus(
        rank=instance.rank,
        instance_id=known.instance_id,
        state=known.state,
        instance_type=known.instance_type,
        az=known.availability_zone,
        public_ip=known.public_ip,
        private_ip=instance.private_ip,
        ssh_alias=known.ssh_alias,
        region=known.region,
        lifecycle=known.lifecycle,
        launch_time=known.launch_time,
        uptime_seconds=known.uptime_seconds,
        price_per_hour=known.price_per_hour,
        estimated_cost=known.estimated_cost,
        monthly_cost_usd=known.monthly_cost_usd,
        ebs_volumes=known.ebs_volumes,
        deadline=known.deadline,
        idle_timeout_seconds=known.idle_timeout_seconds,
        owner=known.owner,
        yours=known.yours,
        seconds_left=known.seconds_left,
    )


def _missing_ranks(nodes: Iterable[Instance], ended: Iterable[Instance]) -> tuple[int, ...]:
    """Return the ranks that were launched, or are below one that was, and that no node has that lives.

    Nodes that had ended before the first living one was launched are of an earlier cluster with the same id.
    """
    present = list(nodes)
    launched = [instance.launch_time for instance in present if instance.launch_time]
    first_launch = min(launched, default=None)
    living: set[int | None] = set()
    highest = -1
    for instance in (*present, *ended):
        if first_launch and instance.ended_at and instance.ended_at < first_launch:
            continue
        if instance.state not in ec2.ENDED:
            living.add(instance.rank)
        highest = max(highest, instance.rank or 0, *instance.ranks_of_call)
    return tuple(rank for rank in range(highest + 1) if rank not in living)
