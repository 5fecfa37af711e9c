"""What a termination says that failed or was interrupted: what remains, and the commands that complete it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import BootstrapError, IncompleteError
from ...invocation import PROGRAM
from ...models import RegionReason, Resource
from .progress import BoxTermination, ClusterEnding, TerminateProgress, by_region, instance_ids
from .report import report


def incomplete(progress: TerminateProgress) -> BootstrapError | None:
    """Return the error for what failed; None if nothing did. Exit code 3 if anything was changed or may have been."""
    failed = [termination for termination in progress.boxes if termination.errors]
    endings = [ending for ending in progress.clusters if ending.errors]
    reasons: list[RegionReason] = []
    for termination in failed:
        for reason in termination.errors:
            reasons.append(RegionReason(termination.region, f"{termination.instance_id}: {reason}"))
    for ending in endings:
        for reason in ending.errors:
            reasons.append(RegionReason(ending.region, f"{ending.cluster_id}: {reason}"))
    if failed:
        return _of_boxes(progress, failed).add_details(regions=tuple(reasons))
    if endings:
        return _of_cluster(endings[0]).add_details(regions=tuple(reasons))
    return None


def _of_boxes(progress: TerminateProgress, failed: Sequence[BoxTermination]) -> BootstrapError:
    error_type: type[BootstrapError] = BootstrapError
    if progress.unknown or progress.terminated:
        error_type = IncompleteError
    names = ", ".join(instance_ids(failed))
    first = failed[0].errors[0]
    return error_type(f"Could not complete the termination of {names}: {first}", hint=first.hint, code=first.code)


def _of_cluster(ending: ClusterEnding) -> BootstrapError:
    """Return the error of a cluster whose nodes were terminated, while what they shared was not all deleted."""
    first = ending.errors[0]
    what = f"What the nodes of {ending.cluster_id} shared was not deleted: {first}"
    return IncompleteError(what, hint=first.hint, code=first.code)


def with_partial_report(error: BootstrapError, progress: TerminateProgress) -> BootstrapError:
    """Return the error with the report, the resources that remain, and the commands that complete the termination."""
    hints = [error.hint, *_next_commands(progress)]
    error.add_details(resources=tuple(_remaining(progress)), hint="\n".join(filter(None, hints)) or None)
    return error.attach_result(report(progress))


def _remaining(progress: TerminateProgress) -> Iterator[Resource]:
    """Yield the instances and volumes that still bill, then what clusters that have ended shared."""
    for termination in progress.boxes:
        if not termination.change:
            yield Resource("instance", termination.instance_id, termination.region, billing=True)
        for volume in termination.undeleted_volumes:
            yield Resource("volume", volume.volume_id, volume.region, billing=True)
    for ending in progress.clusters:
        yield from _shared(ending, "placement-group", ending.placement_groups)
        yield from _shared(ending, "security-group", ending.security_groups)


def _shared(ending: ClusterEnding, resource_type: str, names: Sequence[str]) -> Iterator[Resource]:
    for name in names:
        if name not in ending.deleted:
            yield Resource(resource_type, name, ending.region, billing=False)


def _next_commands(progress: TerminateProgress) -> list[str]:
    """Return the commands that end the billing, each with its purpose."""
    hints: list[str] = []
    if progress.unknown:
        names = ", ".join(instance_ids(progress.unknown))
        hints.append(f"It is unknown whether {names} terminates: EC2 did not answer.")
    named = progress.named_cluster
    if named:
        keeps = any(termination.keep_ebs for termination in progress.boxes)
        return [*hints, f"Complete it: {_cluster_command(named)}{_keep_option(keeps)}"]
    for region, in_region in by_region(progress.not_terminated).items():
        names = " ".join(instance_ids(in_region))
        command = f"{PROGRAM} terminate {names} --region {region}{_keep_option(in_region[0].keep_ebs)}"
        hints.append(f"Terminate the rest: {command}")
    with_volumes = [termination for termination in progress.terminated if termination.undeleted_volumes]
    for region, in_region in by_region(with_volumes).items():
        # A second termination deletes these volumes alone, whoever owns them.
        names = " ".join(instance_ids(in_region))
        command = f"{PROGRAM} terminate {names} --region {region}"
        hints.append(f"Delete the remaining volumes once they are detached: {command}")
    for ending in progress.clusters:
        if ending.has_ended and (ending.errors or not ending.is_known):
            hints.append(f"Delete what the nodes of {ending.cluster_id} shared: {_cluster_command(ending)}")
    return hints


def _cluster_command(ending: ClusterEnding) -> str:
    return f"{PROGRAM} cluster terminate {ending.cluster_id} --region {ending.region}"


def _keep_option(keeps: bool) -> str:
    return " --keep-ebs" if keeps else ""
