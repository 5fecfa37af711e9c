"""Launch a cluster: start the nodes that it lacks, and set up all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ... import ec2, output, sshconfig
from ...config import LaunchConfig
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...models import ClusterDryRun, ClusterLaunchReport, OnDemandOffer
from ...sshconfig import Host
from .. import launch
from ..inventory import managed_hosts
from ..launch.cluster_plan import ClusterPlan
from ..launch.cluster_report import cluster_dry_run
from ..launch.plan import LaunchPlan
from . import members

if TYPE_CHECKING:
    from ...app import App
    from .members import Cluster


@dataclass(frozen=True)
class Order:
    """What is requested of a cluster."""

    cluster_id: str
    nodes: int
    #: How many nodes are enough; None: all of them.
    least: int | None = None
    in_placement_group: bool = True


def find(app: App, cluster_id: str) -> Cluster | None:
    """Return the cluster if nodes of it exist, in whatever region; None if there are none."""
    with output.working("Look for nodes of the cluster", in_logs=False):
        return members.find(app, cluster_id)


def plan(app: App, order: Order, config: LaunchConfig, cluster: Cluster | None) -> LaunchPlan:
    """Return what `apply` would do with the cluster as it was found. Change nothing.

    UsageError or BootstrapError if the launch could not succeed.
    """
    _check(app, order, config, cluster)
    existing = cluster.nodes if cluster else ()
    if cluster:
        config = replace(config, region=cluster.regions)
    least = order.nodes if order.least is None else order.least
    requested = ClusterPlan(order.cluster_id, order.nodes, least, existing, order.in_placement_group)
    return launch.plan(config, app, requested)


def dry_run(planned: LaunchPlan) -> ClusterDryRun:
    """Return the plan as a result."""
    assert planned.cluster
    return cluster_dry_run(planned, planned.cluster)


def apply(app: App, planned: LaunchPlan, ask_on_demand: Callable[[OnDemandOffer], bool]) -> ClusterLaunchReport:
    """Launch the cluster as planned, and return it. Errors are those of `launch.apply`."""
    report = launch.apply_cluster(planned, app, ask_on_demand)
    if report.node_count < report.requested:
        message = f"EC2 had capacity for {report.node_count} of {report.requested} nodes."
        output.warn(message, code="fewer-nodes", region=report.region)
    return report


def _check(app: App, order: Order, config: LaunchConfig, cluster: Cluster | None) -> None:
    """Raise UsageError or BootstrapError if nodes cannot be added to the cluster as requested."""
    if order.least is not None and order.least > order.nodes:
        raise UsageError(
            f"--min-nodes {order.least} is more than --nodes {order.nodes}.", hint="Pass a smaller --min-nodes."
        )
    if cluster:
        _check_existing(order, config, cluster)
    _check_aliases(app, order, cluster)


def _check_existing(order: Order, config: LaunchConfig, cluster: Cluster) -> None:
    """Raise BootstrapError if the cluster cannot be grown as it is."""
    if config.region and cluster.region not in config.region:
        raise UsageError(
            f"The cluster {cluster.cluster_id} is in {cluster.region}. Its nodes must be in one region.",
            hint=f"Pass --region {cluster.region}, or another --cluster-id.",
        )
    if len(cluster.nodes) > order.nodes:
        raise UsageError(
            f"The cluster {cluster.cluster_id} has {len(cluster.nodes)} nodes, more than --nodes {order.nodes}.",
            hint=f"Terminate the nodes that you do not need by their aliases: {PROGRAM} cluster status "
            f"--cluster-id {cluster.cluster_id}",
        )
    _check_ranks(order, cluster)
    for box in cluster.nodes:
        if box.instance.state not in ("pending", "running"):
            name = box.alias or box.instance_id
            raise BootstrapError(
                f"The node {name} is {box.instance.state}.",
                hint=f"Start it: {PROGRAM} start {name}\nOr end it: {PROGRAM} terminate {box.instance_id} "
                f"--region {box.region}",
                code="instance-stopped",
            )


def _check_ranks(order: Order, cluster: Cluster) -> None:
    """Raise BootstrapError if two nodes have one rank, or one has a rank beyond the size requested."""
    seen: set[int | None] = set()
    for box in cluster.nodes:
        rank = box.instance.rank
        if rank in seen or rank is None or rank >= order.nodes:
            name = box.alias or box.instance_id
            what = "no rank" if rank is None else f"the rank {rank}"
            raise BootstrapError(
                f"The node {name} has {what}, which does not fit into a cluster of {order.nodes} nodes.",
                hint=f"End it: {PROGRAM} terminate {box.instance_id} --region {box.region}",
                code="cluster-changed",
            )
        seen.add(rank)


def _check_aliases(app: App, order: Order, cluster: Cluster | None) -> None:
    """Raise BootstrapError if an alias of a node is that of another box, or of a host of the user's own."""
    own_names = sshconfig.host_patterns(sshconfig.read(app.paths.ssh_config))
    known = {host.alias: host for host in managed_hosts(app)}
    node_ids = {box.instance_id for box in cluster.nodes} if cluster else set()
    of_others: list[Host] = []
    for rank in range(order.nodes):
        alias = members.alias_of(order.cluster_id, rank)
        host = known.get(alias)
        if host is None and alias in own_names:
            raise UsageError(f"The SSH config has a host {alias} of your own.", hint="Choose another --cluster-id.")
        if host and host.instance_id not in node_ids:
            of_others.append(host)
    for host in _living(app, of_others):
        raise BootstrapError(
            f"{host.alias} is the alias of the box {host.instance_id}.",
            hint="Choose another --cluster-id.",
            code="usage",
        )


def _living(app: App, hosts: Iterable[Host]) -> list[Host]:
    """Return the hosts whose box exists: one call a region. Nodes that have ended leave their hosts behind."""
    by_region: dict[str, list[Host]] = {}
    for host in hosts:
        by_region.setdefault(host.region or app.aws.region, []).append(host)
    living: list[Host] = []
    for region, in_region in by_region.items():
        found = ec2.get_instances(app.aws.ec2(region), [host.instance_id for host in in_region])
        living_ids = {instance.instance_id for instance in found if instance.state not in ec2.ENDED}
        living += [host for host in in_region if host.instance_id in living_ids]
    return living
