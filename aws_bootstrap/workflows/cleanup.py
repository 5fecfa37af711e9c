"""Update the SSH config to match the existing instances, and delete volumes whose instance no longer exists.

An alias or volume is judged by what its own region answers, all of it. No instance is ever terminated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, known_hosts, output, sshconfig
from ..config import LaunchConfig
from ..errors import BootstrapError, IncompleteError, Interrupted
from ..invocation import PROGRAM
from ..models import (
    AliasEntry,
    CleanupPlan,
    CleanupReport,
    DeletedGroup,
    DeletedVolume,
    GroupEntry,
    Resource,
    Volume,
    VolumeEntry,
)
from ..parallel import gather, run_parallel
from ..sshconfig import Host
from . import alias_changes, cleanup_groups, costs, left_out
from .inventory import Inventory, orphan_volumes, read_region, read_with
from .owners import find_owner, get_owner, is_yours
from .unknown import Calls

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App


@dataclass(frozen=True)
class CleanupOptions:
    """The options of a cleanup. The config has the key path and the login user of aliases to add."""

    include_ebs: bool = False
    include_kept: bool = False
    sync: bool = False
    everyone: bool = False
    #: Only these regions, and only what is in them; all enabled regions if there are none.
    regions: tuple[str, ...] = ()
    config: LaunchConfig = LaunchConfig()

    @property
    def flags(self) -> str:
        """Return the flags as typed on the command line, each after a space."""
        flags = ""
        if self.include_ebs:
            flags += " --include-ebs"
        if self.include_kept:
            flags += " --include-kept"
        if self.sync:
            flags += " --sync"
        if self.everyone:
            flags += " --everyone"
        for region in self.regions:
            flags += f" --region {region}"
        return flags

    @property
    def delete_kept_command(self) -> str:
        """Return the command that deletes also the kept volumes of the same owners and regions."""
        with_kept = replace(self, include_ebs=True, include_kept=True, sync=False)
        return f"{PROGRAM} cleanup{with_kept.flags}"


@dataclass(frozen=True)
class PlannedCleanup:
    """A cleanup that is planned: the result that shows it, and the hosts to write."""

    result: CleanupPlan
    new_hosts: tuple[Host, ...] = ()
    updated_hosts: tuple[Host, ...] = ()
    #: The caller, whose volumes alone are deleted; None to delete everyone's.
    owner: str | None = None


def plan(app: App, options: CleanupOptions) -> PlannedCleanup:
    """Return what `apply` would do. Reads only; changes nothing."""
    text = sshconfig.read(app.paths.ssh_config)
    (inventory, groups), caller = _read(app, options, sshconfig.hosts(text))
    owner = None if options.everyone else caller
    broken = sshconfig.broken(text)
    stale = alias_changes.alias_entries(inventory.stale_hosts())
    updated: list[Host] = []
    new: list[Host] = []
    if options.sync:
        updated = alias_changes.hosts_with_new_address(app, inventory, options.config)
        without_alias = alias_changes.hosts_to_add(app, inventory, broken, options.config)
        new = alias_changes.with_aliases(without_alias, alias_changes.text_without(text, stale))
    to_delete, kept, others = _split_orphans(inventory, options, caller)
    placement_groups, security_groups = cleanup_groups.without_nodes(
        inventory, groups, caller, everyone=options.everyone
    )
    if not options.include_ebs:
        left_out.warn_of_orphans(inventory.orphans(), caller)
    result = CleanupPlan(
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        stale=stale,
        added=alias_changes.alias_addresses(new),
        updated=alias_changes.alias_addresses(updated),
        orphan_volumes=to_delete,
        skipped=alias_changes.alias_entries(inventory.unjudged_hosts()),
        broken=tuple(broken),
        regions_denied=inventory.denied,
        left_out=left_out.volumes(others, f"{PROGRAM} cleanup{options.flags} --everyone"),
        kept_volumes=kept,
        delete_kept_command=_delete_kept_command(options, kept),
        placement_groups=placement_groups,
        security_groups=security_groups,
        command=f"{PROGRAM} cleanup{options.flags}",
    )
    return PlannedCleanup(result, tuple(new), tuple(updated), owner)


def _read(
    app: App, options: CleanupOptions, hosts: Sequence[Host]
) -> tuple[tuple[Inventory, dict[str, cleanup_groups.GroupsRead]], str | None]:
    """Return the inventory, the groups of clusters by region, and the caller.

    That is None where it is unknown who calls, or makes no difference.

    Volumes are read before instances, so that each volume of a new box has its instance. BootstrapError
    `owner-unknown` if only the caller's volumes are to be deleted and it is unknown which they are.
    """
    read_all = partial(read_with, cleanup_groups.read, app, options.regions, hosts=hosts)
    if options.everyone:
        return read_all(), None
    find_caller = get_owner if options.include_ebs else find_owner
    return gather(read_all, partial(find_caller, app))


@dataclass
class CleanupProgress:
    """A cleanup in progress. It notes each change at once, so that an interrupt can report it."""

    app: App
    planned: PlannedCleanup
    options: CleanupOptions
    calls: Calls
    cleaned: tuple[AliasEntry, ...] = ()
    updated: list[Host] = field(default_factory=list)
    added: list[Host] = field(default_factory=list)
    #: The outcome of each volume, by its id.
    volumes: dict[str, DeletedVolume] = field(default_factory=dict)
    groups: dict[GroupEntry, DeletedGroup] = field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Return whether anything was changed, or may have been."""
        outcomes: list[DeletedVolume | DeletedGroup] = [*self.volumes.values(), *self.groups.values()]
        deleted = any(outcome.deleted for outcome in outcomes)
        return bool(self.cleaned or self.updated or self.added or deleted or self.calls.unknown)

    def note_group(self, entry: GroupEntry, outcome: DeletedGroup) -> None:
        """Note what became of a group."""
        self.groups[entry] = outcome

    def _groups(self, planned: Iterable[GroupEntry]) -> tuple[DeletedGroup, ...]:
        """Return what became of these groups, as far as that is noted."""
        return tuple(self.groups[entry] for entry in planned if entry in self.groups)

    def report(self) -> CleanupReport:
        """Return what was done so far."""
        outcomes: list[DeletedVolume] = []
        for volume in self.planned.result.orphan_volumes:
            outcome = self.volumes.get(volume.volume_id)
            if outcome:
                outcomes.append(outcome)
        return replace(
            nothing_done(self.planned.result),
            cleaned=self.cleaned,
            added=alias_changes.alias_addresses(self.added),
            updated=alias_changes.alias_addresses(self.updated),
            deleted_volumes=tuple(outcomes),
            placement_groups=self._groups(self.planned.result.placement_groups),
            security_groups=self._groups(self.planned.result.security_groups),
        )


def apply(app: App, planned: PlannedCleanup, options: CleanupOptions) -> CleanupReport:
    """Do what was planned. An error or an interrupt carries the report of what was done until then."""
    progress = CleanupProgress(app, planned, options, Calls(app.lookup_seconds))
    try:
        _edit_config(progress)
        _delete_orphans(progress)
        cleanup_groups.delete(app, progress.calls, _planned_groups(planned), progress.note_group)
    except KeyboardInterrupt as exc:
        progress.calls.settle()
        raise _with_partial_report(progress, Interrupted.of(exc)) from exc
    except BootstrapError as exc:
        raise _with_partial_report(progress, exc) from exc
    return progress.report()


def _planned_groups(planned: PlannedCleanup) -> tuple[GroupEntry, ...]:
    """Return the groups to delete."""
    return (*planned.result.placement_groups, *planned.result.security_groups)


def _edit_config(progress: CleanupProgress) -> None:
    """Remove, update and add the aliases."""
    paths = progress.app.paths
    planned = progress.planned
    if planned.result.stale:
        ids = [entry.instance_id for entry in planned.result.stale]
        sshconfig.remove(paths.ssh_config, ids)
        progress.cleaned = planned.result.stale
        known_hosts.forget(paths.known_hosts, ids)
    for host in planned.updated_hosts:
        sshconfig.add(paths.ssh_config, host)
        progress.updated.append(host)
    for host in planned.new_hosts:
        alias = sshconfig.add(paths.ssh_config, replace(host, alias=""))
        progress.added.append(replace(host, alias=alias))
    if progress.added:
        known_hosts.ensure(paths.known_hosts)


def _with_partial_report(progress: CleanupProgress, cause: BootstrapError) -> BootstrapError:
    """Return the error with what was done, the volumes that remain, and the command that completes the cleanup."""
    error = cause
    if progress.has_changes and not isinstance(cause, IncompleteError):
        error = IncompleteError(str(cause), hint=cause.hint, code=cause.code)
    remaining: list[Resource] = []
    for volume in progress.planned.result.orphan_volumes:
        outcome = progress.volumes.get(volume.volume_id)
        if outcome is None:
            outcome = _undeleted_outcome(progress, volume)
        progress.volumes[volume.volume_id] = outcome
        if not outcome.deleted:
            remaining.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    for entry in _planned_groups(progress.planned):
        progress.groups.setdefault(entry, cleanup_groups.undeleted(progress.calls, entry))
        if not progress.groups[entry].deleted:
            resource_type = "security-group" if entry.is_security_group else "placement-group"
            remaining.append(Resource(resource_type, entry.id, entry.region, billing=False))
    hints = [error.hint, f"Complete the cleanup: {progress.planned.result.command}"]
    error.add_details(resources=tuple(remaining), hint="\n".join(filter(None, hints)))
    return error.attach_result(progress.report())


def _undeleted_outcome(progress: CleanupProgress, volume: VolumeEntry) -> DeletedVolume:
    """Return the outcome of a volume whose deletion was not confirmed."""
    if _deletion_name(volume) in progress.calls.unknown:
        return _outcome(volume, _UNKNOWN)
    return _outcome(volume, "The command stopped before it was deleted.")


def nothing_done(planned: CleanupPlan) -> CleanupReport:
    """Return the report of a cleanup that the user declined, or that had nothing to do."""
    return CleanupReport(
        regions_queried=planned.regions_queried,
        regions_failed=planned.regions_failed,
        cleaned=(),
        added=(),
        updated=(),
        deleted_volumes=(),
        skipped=planned.skipped,
        skipped_volumes=planned.skipped_volumes,
        broken=planned.broken,
        regions_denied=planned.regions_denied,
        left_out=planned.left_out,
        kept_volumes=planned.kept_volumes,
        delete_kept_command=planned.delete_kept_command,
    )


# --- volumes ---------------------------------------------------------------------------------------------


def _split_orphans(
    inventory: Inventory, options: CleanupOptions, caller: str | None
) -> tuple[tuple[VolumeEntry, ...], tuple[VolumeEntry, ...], tuple[Volume, ...]]:
    """Return the orphan volumes to delete, those that remain since they are marked to keep, and those of others.

    Those that are kept are everyone's.
    """
    owner = None if options.everyone else caller
    to_delete: list[VolumeEntry] = []
    kept: list[VolumeEntry] = []
    others: list[Volume] = []
    for volume in inventory.orphans():
        if _is_to_delete(volume, options, owner):
            to_delete.append(_volume_entry(volume, options, caller))
        elif _is_to_delete(volume, options, None):
            others.append(volume)
        elif volume.created_by_us and volume.kept:
            kept.append(_volume_entry(volume, options, caller))
    return tuple(to_delete), tuple(kept), tuple(others)


def _is_to_delete(orphan: Volume, options: CleanupOptions, owner: str | None) -> bool:
    """Return whether to delete an orphan volume: never a brought one, and of others' none unless the owner is None."""
    if not options.include_ebs or not orphan.created_by_us:
        return False
    if owner is not None and orphan.owner != owner:
        return False
    return options.include_kept or not orphan.kept


def _volume_entry(volume: Volume, options: CleanupOptions, caller: str | None) -> VolumeEntry:
    yours = None  # with --everyone it makes no difference, and was not read
    if not options.everyone:
        yours = is_yours(volume.owner, caller)
    cost = costs.monthly_cost(volume)
    return VolumeEntry(volume.volume_id, volume.size_gb, volume.region, cost, volume.owner, yours)


def _delete_kept_command(options: CleanupOptions, kept: Iterable[VolumeEntry]) -> str | None:
    """Return the command that deletes the kept volumes, except those of others; None if all are of others."""
    if all(volume.is_of_others for volume in kept):
        return None
    return options.delete_kept_command


def _delete_orphans(progress: CleanupProgress) -> None:
    """Delete the orphan volumes of all regions in parallel."""
    by_region: dict[str, list[VolumeEntry]] = {}
    for volume in progress.planned.result.orphan_volumes:
        by_region.setdefault(volume.region, []).append(volume)
    calls: list[Callable[[], None]] = []
    for region, volumes in by_region.items():
        client = progress.app.aws.ec2(region)
        calls.append(partial(_delete_all, progress, client, volumes))
    run_parallel(calls)


def _delete_all(progress: CleanupProgress, client: EC2Client, volumes: Sequence[VolumeEntry]) -> None:
    """Delete one region's volumes, if they are still orphans: they may have changed while the user decided."""
    try:
        instances, found_volumes = read_region(client, volumes="first")
    except BootstrapError as exc:
        for volume in volumes:
            progress.volumes[volume.volume_id] = _outcome(volume, str(exc))
        return
    still_to_delete: set[str] = set()
    for orphan in orphan_volumes(found_volumes, instances):
        if _is_to_delete(orphan, progress.options, progress.planned.owner):
            still_to_delete.add(orphan.volume_id)
    for volume in volumes:
        if volume.volume_id in still_to_delete:
            _delete(progress, client, volume)
        else:
            reason = "It no longer exists, is in use or is marked to keep."
            progress.volumes[volume.volume_id] = _outcome(volume, reason)


def _delete(progress: CleanupProgress, client: EC2Client, volume: VolumeEntry) -> None:
    """Delete one volume and note the outcome."""
    output.info(f"Deleting {volume.volume_id} ({volume.size_gb} GB)")

    def note(_: object) -> None:
        progress.volumes[volume.volume_id] = _outcome(volume, None)

    try:
        progress.calls.make(
            _deletion_name(volume),
            partial(ec2.delete_ebs_volume, client, volume.volume_id),
            look=partial(ec2.find_deletion, client, volume.volume_id),
            note=note,
        )
    except BootstrapError as exc:
        reason = str(exc)
        if _deletion_name(volume) in progress.calls.unknown:
            reason = f"{reason} {_UNKNOWN}"
        progress.volumes[volume.volume_id] = _outcome(volume, reason)


_UNKNOWN = "It is unknown whether it was deleted."


def _deletion_name(volume: VolumeEntry) -> str:
    """Return the name of its DeleteVolume call."""
    return f"the deletion of {volume.volume_id}"


def _outcome(volume: VolumeEntry, error: str | None) -> DeletedVolume:
    """Return the outcome of a volume: deleted if there is no error."""
    return DeletedVolume(volume.volume_id, volume.size_gb, error is None, error, volume.region)
