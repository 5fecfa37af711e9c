"""Delete what the nodes of a cluster shared, once the last of them is terminated: EC2 refuses it before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError
from ...models import Instance, PlacementGroup, SecurityGroup
from ...parallel import run_parallel
from ..cluster import shared
from ..owners import find_owner
from .progress import BoxTermination, ClusterEnding, TerminateProgress, instance_ids

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


def clusters_of(boxes: Iterable[BoxTermination]) -> list[ClusterEnding]:
    """Return the clusters that have nodes among these boxes."""
    found: dict[tuple[str, str], ClusterEnding] = {}
    for termination in boxes:
        cluster_id = termination.box.instance.cluster
        if cluster_id:
            found.setdefault((cluster_id, termination.region), ClusterEnding(cluster_id, termination.region))
    return list(found.values())


def end_clusters(progress: TerminateProgress) -> None:
    """Delete what is shared by the nodes of each cluster that has no other node; of all clusters in parallel."""
    run_parallel([partial(_end, progress, ending) for ending in progress.clusters])


def _end(progress: TerminateProgress, ending: ClusterEnding) -> None:
    try:
        _delete_shared(progress, ending)
    except BootstrapError as exc:
        ending.errors.append(exc)


def _delete_shared(progress: TerminateProgress, ending: ClusterEnding) -> None:
    """Wait until the nodes are terminated, then delete the groups. Note that the cluster lives on if it does."""
    client = progress.app.aws.ec2(ending.region)
    nodes = ec2.find_cluster(client, ending.cluster_id)
    ending.has_ended = not _living(progress, nodes)
    if not ending.has_ended:
        _check_all_were_named(progress, ending, nodes)
        return
    if nodes:
        output.info(f"Waiting until the nodes of {ending.cluster_id} are terminated, then deleting what they shared")
        ec2.wait_terminated(client, [node.instance_id for node in nodes])
    groups = shared.read(client).of(ending.cluster_id)
    caller = find_owner(progress.app)
    ending.placement_groups = [group.name for group in groups.placement_groups if _may_delete(group, caller)]
    ending.security_groups = [group.group_id for group in groups.security_groups if _may_delete(group, caller)]
    ending.is_known = True
    _delete_all(progress, ending, client)


def _living(progress: TerminateProgress, nodes: Iterable[Instance]) -> list[Instance]:
    """Return the nodes that have not ended, and that this command does not end: EC2 may report their old state."""
    ending_now = instance_ids(progress.terminated)
    living: list[Instance] = []
    for node in nodes:
        if node.state not in ec2.ENDED and node.instance_id not in ending_now:
            living.append(node)
    return living


def _check_all_were_named(progress: TerminateProgress, ending: ClusterEnding, nodes: Iterable[Instance]) -> None:
    """Raise BootstrapError if the cluster was named and has nodes that this command did not try to end."""
    if not ending.is_named:
        return
    tried = instance_ids(progress.boxes)
    others = [node.instance_id for node in _living(progress, nodes) if node.instance_id not in tried]
    if others:
        raise BootstrapError(
            f"The cluster {ending.cluster_id} has other nodes now: {', '.join(others)}.", code="cluster-changed"
        )


def _may_delete(group: PlacementGroup | SecurityGroup, caller: str | None) -> bool:
    """Return whether the group is the caller's, or nobody's. BootstrapError if that is unknown."""
    if group.owner is None or group.owner == caller:
        return True
    if caller is None:
        raise BootstrapError("It is unknown whether it is yours, since STS does not answer.", code="owner-unknown")
    return False


def _delete_all(progress: TerminateProgress, ending: ClusterEnding, client: EC2Client) -> None:
    """Delete the groups at the same time. Note what is deleted, and each error."""
    deletions: list[Callable[[], None]] = []
    for name in ending.placement_groups:
        note = partial(_note_deleted, ending, name)
        deletions.append(partial(shared.delete_placement_group, progress.calls, client, name, note))
    for group_id in ending.security_groups:
        note = partial(_note_deleted, ending, group_id)
        deletions.append(partial(shared.delete_security_group, progress.calls, client, group_id, note))
    run_parallel([partial(_noting_errors, ending, deletion) for deletion in deletions])


def _note_deleted(ending: ClusterEnding, name: str, _: object) -> None:
    ending.deleted.append(name)


def _noting_errors(ending: ClusterEnding, deletion: Callable[[], None]) -> None:
    try:
        deletion()
    except BootstrapError as exc:
        ending.errors.append(exc)
