"""The report of a termination, also of one that is not complete."""

from __future__ import annotations

from ...models import ClusterTermination, EndedCluster, KeptVolume, Result, StateChange, TerminateReport, Termination
from .. import costs
from ..aliases import alias_order
from .progress import BoxTermination, ClusterEnding, TerminateProgress


def report(progress: TerminateProgress) -> Result:
    """Return what became of the boxes, or of the cluster that was named."""
    named = progress.named_cluster
    if named:
        return of_cluster(progress, named)
    return of_boxes(progress)


def of_boxes(progress: TerminateProgress) -> TerminateReport:
    """Return what became of the boxes, and of the clusters that have no node any more."""
    ended = [_ended(ending) for ending in progress.clusters if ending.has_ended]
    return TerminateReport(_terminations(progress), left_out=progress.left_out, clusters=tuple(ended) or None)


def of_cluster(progress: TerminateProgress, ending: ClusterEnding) -> ClusterTermination:
    """Return what became of the nodes of a cluster, and of what they shared."""
    outcome = _ended(ending)
    return ClusterTermination(
        cluster_id=ending.cluster_id,
        region=ending.region,
        terminated=_terminations(progress),
        placement_group_deleted=outcome.placement_group_deleted,
        security_group_deleted=outcome.security_group_deleted,
        aliases_removed=tuple(sorted(progress.aliases.values(), key=alias_order)),
        left_out=progress.left_out,
        regions_failed=progress.regions_failed,
    )


def _terminations(progress: TerminateProgress) -> tuple[Termination, ...]:
    found: list[Termination] = []
    for termination in progress.boxes:
        if termination.change:
            found.append(_termination(termination, termination.change, progress.aliases))
    return tuple(found)


def _ended(ending: ClusterEnding) -> EndedCluster:
    return EndedCluster(
        cluster_id=ending.cluster_id,
        region=ending.region,
        placement_group_deleted=ending.outcome(ending.placement_groups),
        security_group_deleted=ending.outcome(ending.security_groups),
    )


def _termination(termination: BoxTermination, change: StateChange, aliases: dict[str, str]) -> Termination:
    instance = termination.box.instance
    not_kept = set(termination.deleted)
    for volume in termination.undeleted_volumes:
        not_kept.add(volume.volume_id)
    kept: list[KeptVolume] = []
    for volume in termination.box.volumes:
        if volume.volume_id not in not_kept:
            cost = costs.monthly_cost(volume)
            kept.append(KeptVolume(volume.volume_id, volume.size_gb, volume.region, cost))
    return Termination(
        instance_id=instance.instance_id,
        previous_state=change.previous_state,
        current_state=change.current_state,
        ssh_alias_removed=aliases.get(instance.instance_id),
        ebs_volumes_deleted=tuple(termination.deleted) or None,
        ebs_volumes_kept=tuple(volume.volume_id for volume in kept) or None,
        region=instance.region,
        availability_zone=instance.availability_zone,
        kept_volumes=tuple(kept) or None,
    )
