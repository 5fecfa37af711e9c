"""Bring the SSH config in line with the instances that live, and delete volumes whose instance is gone.

Nothing is removed or deleted on the strength of a partial view, and no instance is ever ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..config import DEFAULT_USER, LaunchConfig
from ..errors import BootstrapError, IncompleteError, Interrupted
from ..invocation import PROGRAM
from ..models import AliasAddress, AliasEntry, CleanupPlan, CleanupReport, DeletedVolume, Resource, Volume, VolumeEntry
from ..parallel import run_parallel
from ..sshconfig import Host
from .hosts import read_hosts
from .inventory import Inventory, orphan_volumes, read, read_region
from .unknown import Calls

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a cleanup. The config holds the key path and the login name of aliases to add."""

    include_ebs: bool = False
    include_kept: bool = False
    sync: bool = False
    config: LaunchConfig = LaunchConfig()

    @property
    def flags(self) -> str:
        """Return the flags as they are typed, each after a space."""
        flags = ""
        if self.include_ebs:
            flags += " --include-ebs"
        if self.include_kept:
            flags += " --include-kept"
        if self.sync:
            flags += " --sync"
        return flags


@dataclass(frozen=True)
class Plan:
    """What to do: the result that shows it, and the hosts to write."""

    shown: CleanupPlan
    new_hosts: tuple[Host, ...] = ()
    moved_hosts: tuple[Host, ...] = ()


def plan(app: App, wishes: Wishes) -> Plan:
    """Return what `apply` would do. Reads only; changes nothing."""
    text = sshconfig.read(app.paths.ssh_config)
    inventory = _read(app, wishes, sshconfig.hosts(text))
    broken = sshconfig.broken(text)
    stale = _entries(inventory.stale_hosts())
    moved: list[Host] = []
    new: list[Host] = []
    if wishes.sync:
        moved = _moved(app, inventory, wishes.config)
        without_alias = _new(app, inventory, broken, wishes.config)
        new = _named(without_alias, _without(text, stale))
    to_delete, kept = _orphans(inventory, wishes)
    skipped_volumes: tuple[VolumeEntry, ...] = ()
    if inventory.failed:
        skipped_volumes = to_delete
        to_delete = ()
    shown = CleanupPlan(
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        stale=stale,
        added=_addresses(new),
        updated=_addresses(moved),
        orphan_volumes=to_delete,
        skipped=_entries(inventory.unjudged_hosts()),
        skipped_volumes=skipped_volumes,
        broken=tuple(broken),
        kept_volumes=kept,
        command=f"{PROGRAM} cleanup{wishes.flags}",
    )
    return Plan(shown, tuple(new), tuple(moved))


def _read(app: App, wishes: Wishes, hosts: Sequence[Host]) -> Inventory:
    """Read volumes before instances: a volume created for a box just launched then finds its instance."""
    if wishes.include_ebs:
        return read(app, volumes="first", hosts=hosts)
    return read(app, volumes="none", hosts=hosts)


def question(plan: CleanupPlan) -> str:
    """Return what the user is asked to agree to."""
    lines: list[str] = []
    for stale in plan.stale:
        lines.append(f"  remove the alias {stale.alias} of {stale.instance_id}, which is gone")
    for added in plan.added:
        lines.append(f"  add the alias {added.alias} for {added.instance_id} at {added.public_ip}")
    for updated in plan.updated:
        lines.append(f"  change the address of {updated.alias} to {updated.public_ip}")
    for volume in plan.orphan_volumes:
        lines.append(f"  delete {volume.volume_id}  {volume.size_gb} GB  in {volume.region}")
    if plan.orphan_volumes:
        lines.append("What is on the volumes is lost for good.")
    return "\n".join([*lines, "Go on?"])


@dataclass
class Work:
    """A cleanup under way, and what it has done so far, so that an interrupt can report it."""

    app: App
    todo: Plan
    wishes: Wishes
    calls: Calls
    cleaned: tuple[AliasEntry, ...] = ()
    updated: list[Host] = field(default_factory=list)
    added: list[Host] = field(default_factory=list)
    volumes: dict[str, DeletedVolume] = field(default_factory=dict)
    """What became of each volume, by its id."""

    @property
    def has_done_something(self) -> bool:
        """Return whether anything is changed by now, or may be."""
        deleted = any(volume.deleted for volume in self.volumes.values())
        return bool(self.cleaned or self.updated or self.added or deleted or self.calls.unknown)

    def report(self) -> CleanupReport:
        """Return what is done by now."""
        outcomes: list[DeletedVolume] = []
        for volume in self.todo.shown.orphan_volumes:
            outcome = self.volumes.get(volume.volume_id)
            if outcome:
                outcomes.append(outcome)
        return replace(
            nothing_done(self.todo.shown),
            cleaned=self.cleaned,
            added=_addresses(self.added),
            updated=_addresses(self.updated),
            deleted_volumes=tuple(outcomes),
        )


def apply(app: App, todo: Plan, wishes: Wishes) -> CleanupReport:
    """Do what was planned. Whatever breaks it off, the error says what is done and what is not."""
    work = Work(app, todo, wishes, Calls(app.lookup_seconds))
    try:
        _edit_config(work)
        _delete_orphans(work)
    except KeyboardInterrupt as exc:
        work.calls.settle()
        raise _broken_off(work, Interrupted.of(exc)) from exc
    except BootstrapError as exc:
        raise _broken_off(work, exc) from exc
    return work.report()


def _edit_config(work: Work) -> None:
    """Remove, change and add the aliases."""
    paths = work.app.paths
    todo = work.todo
    if todo.shown.stale:
        ids = [entry.instance_id for entry in todo.shown.stale]
        sshconfig.remove(paths.ssh_config, ids)
        work.cleaned = todo.shown.stale
        sshconfig.forget_host_keys(paths.known_hosts, ids)
    for host in todo.moved_hosts:
        sshconfig.add(paths.ssh_config, host)
        work.updated.append(host)
    for host in todo.new_hosts:
        alias = sshconfig.add(paths.ssh_config, replace(host, alias=""))
        work.added.append(replace(host, alias=alias))
    if work.added:
        sshconfig.ensure_known_hosts(paths.known_hosts)


def _broken_off(work: Work, cause: BootstrapError) -> BootstrapError:
    """Return the error with what is done, the volumes that are left, and the command that does the rest."""
    error = cause
    if work.has_done_something and not isinstance(cause, IncompleteError):
        error = IncompleteError(str(cause), hint=cause.hint, code=cause.code)
    left: list[Resource] = []
    for volume in work.todo.shown.orphan_volumes:
        outcome = work.volumes.get(volume.volume_id)
        if outcome is None:
            outcome = _left_outcome(work, volume)
        work.volumes[volume.volume_id] = outcome
        if not outcome.deleted:
            left.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    hints = [error.hint, f"Do the rest:  {work.todo.shown.command}"]
    error.add_details(resources=tuple(left), hint="\n".join(filter(None, hints)))
    return error.attach_result(work.report())


def _left_outcome(work: Work, volume: VolumeEntry) -> DeletedVolume:
    """Return the outcome of a volume whose deletion was not noted."""
    if _deletion(volume) in work.calls.unknown:
        return _outcome(volume, _UNKNOWN)
    return _outcome(volume, "It was not deleted before the command was stopped.")


def nothing_done(shown: CleanupPlan) -> CleanupReport:
    """Return the report of a cleanup that was not agreed to, or that had nothing to do."""
    return CleanupReport(
        regions_queried=shown.regions_queried,
        regions_failed=shown.regions_failed,
        cleaned=(),
        added=(),
        updated=(),
        deleted_volumes=(),
        skipped=shown.skipped,
        skipped_volumes=shown.skipped_volumes,
        broken=shown.broken,
        kept_volumes=shown.kept_volumes,
    )


# --- aliases ---------------------------------------------------------------------------------------------


def _entries(hosts: Iterable[Host]) -> tuple[AliasEntry, ...]:
    return tuple(AliasEntry(host.instance_id, host.alias) for host in hosts)


def _without(text: str, stale: Iterable[AliasEntry]) -> str:
    """Return the text of the SSH config without these aliases."""
    for entry in stale:
        text = sshconfig.without_host(text, entry.instance_id)
    return text


def _moved(app: App, inventory: Inventory, config: LaunchConfig) -> list[Host]:
    """Return the hosts whose instance has another address now; what an old block lacks is filled in."""
    boxes = {box.instance_id: box for box in inventory.boxes}
    moved = []
    for host in inventory.hosts:
        box = boxes.get(host.instance_id)
        if box is None or box.instance.public_ip is None or box.instance.public_ip == host.hostname:
            continue
        known_now = replace(
            host,
            hostname=box.instance.public_ip,
            region=box.region,
            user=host.user or config.ssh_user or DEFAULT_USER,
            identity_file=host.identity_file or str(config.private_key),
            known_hosts=host.known_hosts or str(app.paths.known_hosts),
        )
        moved.append(known_now)
    return moved


def _new(app: App, inventory: Inventory, broken: Sequence[str], config: LaunchConfig) -> list[Host]:
    """Return hosts, still without an alias, for the running boxes that lack one; a damaged block counts as theirs."""
    lacking = []
    for box in inventory.boxes:
        if box.host is None and box.is_reachable and box.instance_id not in broken:
            lacking.append(box.instance)
    if not lacking:
        return []
    return read_hosts(app, lacking, config)


def _named(hosts: Iterable[Host], text: str) -> list[Host]:
    """Return the hosts with the aliases that they will get."""
    with_alias = []
    for host in hosts:
        named = replace(host, alias=sshconfig.next_alias(text))
        text = sshconfig.with_host(text, named)
        with_alias.append(named)
    return with_alias


def _addresses(hosts: Iterable[Host]) -> tuple[AliasAddress, ...]:
    return tuple(AliasAddress(host.instance_id, host.alias, host.hostname) for host in hosts)


# --- volumes ---------------------------------------------------------------------------------------------


def _orphans(inventory: Inventory, wishes: Wishes) -> tuple[tuple[VolumeEntry, ...], tuple[VolumeEntry, ...]]:
    """Return the volumes to delete, and those that stay because somebody marked them so."""
    to_delete: list[VolumeEntry] = []
    kept: list[VolumeEntry] = []
    for volume in inventory.orphans():
        if _is_to_delete(volume, wishes):
            to_delete.append(_entry(volume))
        elif volume.created_by_us:
            kept.append(_entry(volume))
    return tuple(to_delete), tuple(kept)


def _is_to_delete(orphan: Volume, wishes: Wishes) -> bool:
    """Return whether an orphan volume is to be deleted: never one of the user's own."""
    return orphan.created_by_us and (wishes.include_kept or not orphan.kept)


def _entry(volume: Volume) -> VolumeEntry:
    return VolumeEntry(volume.volume_id, volume.size_gb, volume.region)


def _delete_orphans(work: Work) -> None:
    """Delete the orphan volumes, each region at the same time."""
    by_region: dict[str, list[VolumeEntry]] = {}
    for volume in work.todo.shown.orphan_volumes:
        by_region.setdefault(volume.region, []).append(volume)
    calls: list[Callable[[], None]] = []
    for region, volumes in by_region.items():
        client = work.app.aws.ec2(region)
        calls.append(partial(_delete_all, work, client, volumes))
    run_parallel(calls)


def _delete_all(work: Work, client: Any, volumes: Sequence[VolumeEntry]) -> None:
    """Delete one region's volumes. They are looked at again: a person may have thought long over the answer."""
    try:
        instances, found_volumes = read_region(client, volumes="first")
    except BootstrapError as exc:
        for volume in volumes:
            work.volumes[volume.volume_id] = _outcome(volume, str(exc))
        return
    still_to_delete: set[str] = set()
    for orphan in orphan_volumes(found_volumes, instances):
        if _is_to_delete(orphan, work.wishes):
            still_to_delete.add(orphan.volume_id)
    for volume in volumes:
        if volume.volume_id in still_to_delete:
            _delete(work, client, volume)
        else:
            work.volumes[volume.volume_id] = _outcome(volume, "It is gone, in use or kept by now.")


def _delete(work: Work, client: Any, volume: VolumeEntry) -> None:
    """Delete one volume and note what became of it."""
    output.info(f"Deleting {volume.volume_id} ({volume.size_gb} GB)")

    def note(_: object) -> None:
        work.volumes[volume.volume_id] = _outcome(volume, None)

    try:
        work.calls.make(
            _deletion(volume),
            partial(ec2.delete_ebs_volume, client, volume.volume_id),
            look=partial(ec2.find_deletion, client, volume.volume_id),
            note=note,
        )
    except BootstrapError as exc:
        reason = str(exc)
        if _deletion(volume) in work.calls.unknown:
            reason = f"{reason} {_UNKNOWN}"
        work.volumes[volume.volume_id] = _outcome(volume, reason)


_UNKNOWN = "Whether it is deleted is not known."


def _deletion(volume: VolumeEntry) -> str:
    """Return the name of its DeleteVolume among the calls."""
    return f"the deletion of {volume.volume_id}"


def _outcome(volume: VolumeEntry, error: str | None) -> DeletedVolume:
    """Return what became of a volume: deleted, where there is no error."""
    return DeletedVolume(volume.volume_id, volume.size_gb, error is None, error, volume.region)
