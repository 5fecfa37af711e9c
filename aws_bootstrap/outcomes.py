"""Which error a result amounts to: the one way to exit code 3, and to a document that carries result and error.

A command answers with a result also where it is partial: a region that could not be read, a setup that
failed on a box that is up. What is missing, and what helps, is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from .errors import SSH_FAILED, BootstrapError, IncompleteError
from .invocation import PROFILE, PROGRAM, SSH
from .job_outcomes import cancel_error, job_error, preparation_error, test_error
from .models import (
    AccessReport,
    BakeReport,
    CleanupPlan,
    CleanupReport,
    ClusterLaunchReport,
    ClusterList,
    ClusterStatus,
    CopyReport,
    CostReport,
    ExecReport,
    ExtendReport,
    GrowReport,
    ImageList,
    ImageRemovals,
    InstanceTypeList,
    LaunchReport,
    OwnImageList,
    PriceReport,
    QuotaHistory,
    QuotaReport,
    QuotaRequests,
    RegionFailure,
    RegionReason,
    RemoveReport,
    Resource,
    Result,
    RunList,
    SetupReport,
    StartReport,
    StatusReport,
    SyncReport,
    VolumeList,
)
from .outcomes_clusters import extended_nodes_error


def continue_hint(name: str, setup_options: str = "") -> str:
    """Return the command that completes the setup of a box; the options each begin with a space."""
    return f"Continue: {PROGRAM} setup {name}{setup_options}"


def undo_hint(name: str, region: str | None = None) -> str:
    """Return the command that undoes a launch."""
    where = f" --region {region}" if region else ""
    return f"Undo: {PROGRAM} terminate {name}{where}"


def check_hint(region: str) -> str:
    """Return the command that shows what exists in a region."""
    return f"Check: {PROGRAM} status --region {region}"


def delete_volume_command(volume_id: str, region: str) -> str:
    """Return the command that deletes one volume: `cleanup` deletes only volumes whose owner is the caller."""
    return f"aws ec2 delete-volume{PROFILE} --region {region} --volume-id {volume_id}"


@singledispatch
def error_for(result: Result) -> BootstrapError | None:
    """Return the error for a partial result; None for a whole one."""
    return None


def unread_regions(failed: Sequence[RegionFailure]) -> BootstrapError | None:
    """Return the error for a view that lacks these regions; None if it lacks none."""
    if not failed:
        return None
    names = ", ".join(failure.region for failure in failed)
    reasons = sorted({failure.error for failure in failed})
    return IncompleteError(
        f"Could not read {names}: {reasons[0]}",
        hint="Boxes and volumes there may exist. Run the command again, or choose regions with --region.",
        code="region-failed",
    )


def failed_regions(error: BootstrapError, named: Sequence[str]) -> tuple[RegionFailure, ...]:
    """Return the regions that a view could not read, where it could read none: those named, else all that it tried."""
    reason_by_region: dict[str, str] = {}
    for region in named:
        reason_by_region[region] = str(error)
    for of_region in error.report.regions:
        reason_by_region[of_region.region] = of_region.reason
    return tuple(RegionFailure(region, reason) for region, reason in reason_by_region.items())


error_for.register(job_error)
error_for.register(cancel_error)
error_for.register(preparation_error)
error_for.register(test_error)


@error_for.register
def _listing_error(
    result: InstanceTypeList
    | ImageList
    | OwnImageList
    | PriceReport
    | QuotaReport
    | QuotaHistory
    | CostReport
    | VolumeList
    | ClusterList
    | ClusterStatus,
) -> BootstrapError | None:
    """Return the error of regions that could not be read."""
    return unread_regions(result.regions_failed)


@error_for.register
def _quota_requests_error(result: QuotaRequests) -> BootstrapError | None:
    """Return the error of regions whose request AWS refused, when others accepted theirs."""
    if not result.regions_failed:
        return None
    reasons = tuple(RegionReason(failure.region, failure.error) for failure in result.regions_failed)
    names = ", ".join(reason.region for reason in reasons)
    hint = f"Show the sent requests: {PROGRAM} quota history"
    what = f"The request failed in {names}: {reasons[0].reason}"
    return IncompleteError(what, hint=hint).add_details(regions=reasons)


@error_for.register
def _status_error(result: StatusReport) -> BootstrapError | None:
    """Return the error of regions that could not be read, or of boxes whose GPU could not be queried."""
    unread = unread_regions(result.regions_failed)
    if unread or not result.unread_gpus:
        return unread
    return IncompleteError(
        result.unread_gpus[0].message,
        hint="The GPU of such a box is unknown. It may have one.",
        code="gpu-unknown",
    )


@error_for.register
def _access_error(result: AccessReport) -> BootstrapError | None:
    """Return the error of regions that could not be read, or where a change was refused."""
    unread = unread_regions(result.regions_failed)
    was_changed = any(box.added is not None for box in result.boxes)
    if unread is None or not was_changed:
        return unread
    words = str(unread).replace("Could not read", "Could not read or change", 1)
    hint = "The rules there are unchanged, or unknown. Run the command again."
    return IncompleteError(words, hint=hint, code=unread.code)


@error_for.register
def _cleanup_plan_error(result: CleanupPlan) -> BootstrapError | None:
    """Return the error of regions that could not be read."""
    return _undecided(result)


@error_for.register
def _cleanup_error(result: CleanupReport) -> BootstrapError | None:
    """Return the error of regions that could not be read, or of volumes that could not be deleted."""
    unread = _undecided(result)
    volumes = [volume for volume in result.deleted_volumes if volume.error]
    groups = [group for group in (*result.placement_groups, *result.security_groups) if group.error]
    if unread or not (volumes or groups):
        return unread
    any_deleted = any(volume.deleted for volume in result.deleted_volumes)
    any_deleted = any_deleted or any(group.deleted for group in (*result.placement_groups, *result.security_groups))
    is_partly_done = bool(result.cleaned or result.added or result.updated or any_deleted)
    error_type = IncompleteError if is_partly_done else BootstrapError
    if volumes:
        names = ", ".join(volume.volume_id for volume in volumes)
        what = f"Could not delete {names}: {volumes[0].error}"
        return error_type(what, hint=f"Show what remains: {PROGRAM} status", code="volume-not-deleted")
    names = ", ".join(group.id for group in groups)
    what = f"Could not delete {names}: {groups[0].error}"
    return error_type(what, hint=f"Show what remains: {PROGRAM} cleanup --dry-run", code="group-not-deleted")


def _undecided(result: CleanupPlan | CleanupReport) -> BootstrapError | None:
    """Return the error for regions that could not be read, or that are denied and may have the box of an alias."""
    places = {entry.region for entry in result.skipped}
    undecided = list(result.regions_failed)
    for failure in result.regions_denied:
        if failure.region in places or None in places:
            undecided.append(failure)
    error = unread_regions(undecided)
    if error is None:
        return None
    hint = "What is there stays as it is, since it is unknown. Run the command again once the region answers."
    return error.add_details(hint=hint)


@error_for.register
def _launch_error(result: LaunchReport) -> BootstrapError | None:
    """Return the error of a setup or data volume that failed; the box itself is up and usable."""
    error = _box_error(result)
    if error is None:
        return None
    return error.add_details(resources=result.resources())


@error_for.register
def _cluster_launch_error(result: ClusterLaunchReport) -> BootstrapError | None:
    """Return the error of the first node whose setup or data volume failed, and which others failed as well."""
    failed = [node.report for node in result.nodes if node.report and _box_error(node.report)]
    if not failed:
        return None
    error = _box_error(failed[0])
    if error is None or len(failed) == 1:
        return error and error.add_details(resources=result.resources())
    others = ", ".join(str(report.ssh_alias) for report in failed[1:])
    more = IncompleteError(f"{error} So did that of {others}.", hint=error.hint, code=error.code)
    return more.add_details(resources=result.resources())


@error_for.register
def _extend_error(result: ExtendReport) -> BootstrapError | None:
    """Return the error of a box whose limits have changed while its tags have not, or of nodes that did not change."""
    if result.nodes is not None:
        return extended_nodes_error(result.nodes)
    if result.tag_error is None:
        return None
    return IncompleteError(
        f"The box has its new limits, but its tags, which `status` reads, have not: {result.tag_error}",
        hint=f"Write them yourself: {result.tag_command}",
        code="tags-failed",
    )


@error_for.register
def _exec_error(result: ExecReport) -> BootstrapError | None:
    """Return the error of a box on which the command did not run to its end. Its exit code is OpenSSH's."""
    for failed in result.results:
        if failed.error:
            error = BootstrapError(failed.error, hint=result.hint, code=failed.error_code)
            error.exit_code = SSH_FAILED
            return error
    return None


@error_for.register
def _start_error(result: StartReport) -> BootstrapError | None:
    """Return the error of a started box whose limits have changed while its tags have not."""
    for box in result.started:
        if box.tag_error:
            return IncompleteError(
                f"{box.ssh_alias} has its new limits, but its tags, which `status` reads, have not: {box.tag_error}",
                hint=f"Write them yourself: {box.tag_command}",
                code="tags-failed",
            ).add_details(resources=result.resources())
    return None


@error_for.register
def _runs_error(result: RunList) -> BootstrapError | None:
    """Return the error of boxes and regions whose runs are unknown."""
    unread = unread_regions(result.regions_failed)
    if unread or not result.boxes_failed:
        return unread
    failed = result.boxes_failed[0]
    return IncompleteError(
        f"The runs of {failed.ssh_alias or failed.instance_id} are unknown: {failed.error}",
        hint=f"Show your boxes: {PROGRAM} status",
        code="runs-unknown",
    )


@error_for.register
def _grow_error(result: GrowReport) -> BootstrapError | None:
    """Return the error of a volume that has grown while its filesystem has not."""
    if result.filesystem != "failed":
        return None
    hint = f"Grow the filesystem alone: {PROGRAM} volume grow {result.volume_id} --size {result.size_gb}"
    if result.ssh_alias:
        hint += f"\nShow the box's disks: {SSH} {result.ssh_alias} lsblk -f"
    return IncompleteError(
        f"The volume has {result.size_gb} GB, but its filesystem has not grown: {result.filesystem_error}",
        hint=hint,
        code="filesystem-not-grown",
    )


@error_for.register
def _remove_error(result: RemoveReport) -> BootstrapError | None:
    """Return the error of volumes and snapshots that could not be deleted."""
    remaining = [one for one in result.removed if not one.deleted]
    if not remaining:
        return None
    error_type = BootstrapError
    if len(remaining) < len(result.removed):
        error_type = IncompleteError
    names = ", ".join(one.id for one in remaining)
    left = tuple(Resource(one.type, one.id, one.region, billing=True) for one in remaining)
    return error_type(
        f"Could not delete {names}: {remaining[0].error}",
        hint=f"Show what remains: {PROGRAM} volume ls",
        code="volume-not-deleted",
    ).add_details(resources=left)


@error_for.register
def _setup_error(result: SetupReport) -> BootstrapError | None:
    """Return the error of a setup or a mount that failed."""
    return _box_error(result)


def _box_error(report: LaunchReport | SetupReport) -> BootstrapError | None:
    """Return the error for a box that is up and usable, but whose setup or data volume failed."""
    name = report.ssh_alias or str(report.instance_id)
    ways = [continue_hint(name, report.setup_options)]
    if isinstance(report, LaunchReport):  # `setup` did not create the box, so terminating it undoes nothing
        ways.append(undo_hint(name))
    if report.setup == "failed":
        log = f"Show the log: {SSH} {name} tail -n 50 .aws-bootstrap/setup.log"
        reason = f": {report.setup_failed_reason}" if report.setup_failed_reason else ""
        what = f"The setup of {name} failed at the step {report.setup_failed_step}{reason}."
        return IncompleteError(what, hint="\n".join([log, *ways]), code="setup-failed")
    if report.volume_error is None:
        return None
    if report.volume_unformatted:  # another setup would fail in the same way: it may not format either
        del ways[0]
    hints = [report.volume_hint, *ways]
    return IncompleteError(
        f"The data volume is not mounted: {report.volume_error}",
        hint="\n".join(hint for hint in hints if hint),
        code="mount-failed",
    )


@error_for.register
def _transfer_error(result: CopyReport | SyncReport) -> BootstrapError | None:
    """Return the error of files that were not copied or deleted; it is incomplete if others were."""
    if not result.errors:
        return None
    was_begun = result.files > 0
    if isinstance(result, SyncReport):
        was_begun = bool(result.changes)
    error_type = IncompleteError if was_begun else BootstrapError
    if result.lost:
        hint = "Run the command again: what is there already is not copied again."
        return error_type(f"The connection broke: {result.errors[0]}", hint=hint, code="ssh-lost")
    more = f" (and {len(result.errors) - 1} more)" if len(result.errors) > 1 else ""
    return error_type(f"Not everything was copied: {result.errors[0]}{more}", code="copy-failed")


@error_for.register
def _bake_error(result: BakeReport) -> BootstrapError | None:
    """Return the error of an image that failed or is not available yet, or of a box that is not as it was."""
    if result.image_id is None:
        return None
    if result.state == "failed":
        reason = f": {result.state_reason}" if result.state_reason else ""
        error = IncompleteError(
            f"EC2 could not create the image {result.name}{reason}.",
            hint=f"Remove what is left of it: {PROGRAM} image rm {result.image_id}",
            code="image-failed",
        )
        return error.add_details(resources=result.resources())
    if not result.source_error:
        return None
    name = result.ssh_alias or result.source
    error = IncompleteError(
        f"The image exists, but {name} is not as it was: {result.source_error}.",
        hint=f"Repair it: {PROGRAM} setup {name}\nShow its state: {PROGRAM} status",
        code="box-not-back",
    )
    return error.add_details(resources=result.resources())


@error_for.register
def _image_removals_error(result: ImageRemovals) -> BootstrapError | None:
    """Return the error of images that could not be removed, or not with all their snapshots."""
    failed = [removal for removal in result.removed if removal.error]
    if not failed:
        return None
    is_partly_done = any(removal.deregistered for removal in result.removed)
    error_type = IncompleteError if is_partly_done else BootstrapError
    names = ", ".join(removal.image_id for removal in failed)
    return error_type(
        f"Could not remove {names}: {failed[0].error}",
        hint=f"Show what remains: {PROGRAM} image ls",
        code="image-not-removed",
    )
