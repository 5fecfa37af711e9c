"""Terminate a cluster: its nodes, their volumes and aliases, and what they shared. Repeatable until nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...models import ClusterTermination, Instance, RegionFailure, Volume
from ...outcomes import unread_regions
from ...parallel import gather
from .. import left_out, terminate
from ..box import Box
from ..inventory import Inventory, read_region, read_with
from ..owners import find_owner, is_of_another
from ..selection import Targets
from ..terminate import BoxTermination, ClusterEnding, TerminateProgress
from ..terminate.report import of_cluster
from ..unknown import Calls
from . import shared
from .members import not_found, rank_of, readable_hosts
from .shared import SharedGroups

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ...app import App


@dataclass(frozen=True)
class Remains:
    """What exists of a cluster in one region."""

    cluster_id: str
    region: str
    #: Its nodes that have not ended, by rank, then those that have and whose volumes exist.
    nodes: tuple[Box, ...] = ()
    #: The nodes of that id that are not the caller's.
    others: tuple[Instance, ...] = ()
    groups: SharedGroups = SharedGroups()
    #: Whether EC2 has answered which groups exist.
    groups_known: bool = True
    #: Nodes that have ended and left nothing but an alias.
    ended: tuple[str, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left that could be removed."""
        has_groups = self.groups.placement_groups or self.groups.security_groups or not self.groups_known
        return not self.nodes and not has_groups

    @property
    def targets(self) -> Targets:
        """Return the boxes to terminate."""
        return Targets(self.nodes)


def find(app: App, cluster_id: str, regions: Sequence[str]) -> Remains:
    """Return what is left of the caller's cluster of that id, in these regions, in all enabled ones without any.

    BootstrapError `not-found` if there is no trace of it, `not-yours` if it is another's, `owner-unknown` if that is
    unknown, `region-failed` if it may be where nothing could be read; UsageError if it is in several regions.
    """
    read_all = partial(read_with, _read_region, app, regions, hosts=readable_hosts(app))
    (inventory, groups), caller = gather(read_all, partial(find_owner, app))
    found = [_in_region(inventory, cluster_id, region, groups[region], caller) for region in groups]
    remains = _only(cluster_id, found, inventory.failed, caller)
    for failure in inventory.failed:
        output.warn(f"Could not read {failure.region}: {failure.error}", code="region-failed", region=failure.region)
    return remains


def _read_region(
    client: EC2Client, instance_ids: Sequence[str]
) -> tuple[list[Instance], list[Volume], SharedGroups | None]:
    """Return one region's instances, the terminated ones too, its volumes, and its groups; None if they are refused."""
    (instances, volumes), groups = gather(
        partial(read_region, client, instance_ids, "everything"), partial(_readable_groups, client)
    )
    return instances, volumes, groups


def _readable_groups(client: EC2Client) -> SharedGroups | None:
    """Return what the clusters of the region share; None if that is refused: it must not keep nodes running."""
    try:
        return shared.read(client)
    except BootstrapError:
        return None


def _in_region(
    inventory: Inventory, cluster_id: str, region: str, groups: SharedGroups | None, caller: str | None
) -> Remains:
    """Return what the region has of the cluster."""
    nodes: list[Box] = []
    ended: list[str] = []
    others: list[Instance] = []
    for box in _nodes(inventory, cluster_id, region):
        if is_of_another(box.instance.owner, caller):
            if not box.has_ended:
                others.append(box.instance)
        elif box.has_ended and not box.deletable_volumes:
            ended.append(box.instance_id)
        else:
            nodes.append(box)
    for host in inventory.stale_hosts():  # EC2 forgets an instance an hour after its end
        if (host.cluster, host.region) == (cluster_id, region):
            ended.append(host.instance_id)
    return Remains(
        cluster_id=cluster_id,
        region=region,
        nodes=tuple(nodes),
        others=tuple(others),
        groups=_own((groups or SharedGroups()).of(cluster_id), caller),
        groups_known=groups is not None or not nodes,
        ended=tuple(dict.fromkeys(ended)),
        regions_failed=inventory.failed,
    )


def _nodes(inventory: Inventory, cluster_id: str, region: str) -> list[Box]:
    """Return the nodes in the region with their volumes: those that have not ended by rank, then the others."""
    host_by_id = {host.instance_id: host for host in inventory.hosts}
    nodes: list[Box] = []
    for instance in (*(box.instance for box in inventory.boxes), *inventory.ended):
        if (instance.cluster, instance.region) == (cluster_id, region):
            volumes = [volume for volume in inventory.volumes if volume.instance_id == instance.instance_id]
            nodes.append(Box(instance, host_by_id.get(instance.instance_id), tuple(volumes)))
    return sorted(nodes, key=_order)


def _order(box: Box) -> tuple[bool, int]:
    """Return what to sort nodes by."""
    return box.has_ended, rank_of(box)


def _own(groups: SharedGroups, caller: str | None) -> SharedGroups:
    """Return those of the groups that are not another's."""
    placement_groups = [group for group in groups.placement_groups if not is_of_another(group.owner, caller)]
    security_groups = [group for group in groups.security_groups if not is_of_another(group.owner, caller)]
    return SharedGroups(tuple(placement_groups), tuple(security_groups))


def _only(cluster_id: str, found: Sequence[Remains], failed: Sequence[RegionFailure], caller: str | None) -> Remains:
    """Return what is left in the one region where something is. Errors are those of `find`."""
    left = [remains for remains in found if not remains.is_empty]
    if len(left) > 1:
        regions = ", ".join(remains.region for remains in left)
        raise UsageError(f"The cluster {cluster_id} is in several regions: {regions}.", hint="Name the --region.")
    for remains in left:
        _check_owner_known(remains, caller)
        return remains
    for remains in found:
        if remains.others:
            raise BootstrapError(
                f"The cluster {cluster_id} in {remains.region} is not yours: its owner is {remains.others[0].owner}.",
                hint=f"Show its nodes: {PROGRAM} cluster status {cluster_id} --region {remains.region}",
                code="not-yours",
            )
    unread = unread_regions(failed)
    if unread:
        raise unread
    for remains in found:
        if remains.ended:
            return remains
    raise not_found(cluster_id)


def _check_owner_known(remains: Remains, caller: str | None) -> None:
    """Raise BootstrapError `owner-unknown` if it is unknown who calls, and an owner is recorded: ids are no secret."""
    owners = {box.instance.owner for box in remains.nodes} | remains.groups.owners
    if caller is not None or owners <= {None}:
        return
    hint = "Run the command again."
    if remains.nodes:
        names = " ".join(box.instance_id for box in remains.nodes)
        hint += f" Or name its nodes by their ids: {PROGRAM} terminate {names} --region {remains.region}"
    raise BootstrapError(
        f"It is unknown whether the cluster {remains.cluster_id} is yours, since STS does not say who you are.",
        hint=hint,
        code="owner-unknown",
    )


def declined(remains: Remains) -> ClusterTermination:
    """Return the result where the user declined."""
    return ClusterTermination(remains.cluster_id, remains.region, (), declined=True)


def apply(app: App, remains: Remains, *, keep_ebs: bool) -> ClusterTermination:
    """Terminate the cluster; return once its nodes are terminated and nothing of it is left.

    An error, or an interrupt, has the report of what was done, and the command that completes it.
    """
    ending = ClusterEnding(
        remains.cluster_id,
        remains.region,
        is_named=True,
        placement_groups=[group.name for group in remains.groups.placement_groups],
        security_groups=[group.group_id for group in remains.groups.security_groups],
    )
    boxes = [BoxTermination(box, keep_ebs) for box in remains.nodes]
    progress = TerminateProgress(
        app,
        boxes,
        Calls(app.lookup_seconds),
        left_out.boxes(app, remains.others, _terminate_command),
        [ending],
        ended_before=remains.ended,
        regions_failed=remains.regions_failed,
    )
    terminate.end(progress)
    return of_cluster(progress, ending)


def _terminate_command(instance: Instance) -> str:
    return f"{PROGRAM} terminate {instance.instance_id} --region {instance.region}"
