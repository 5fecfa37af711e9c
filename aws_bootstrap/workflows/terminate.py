"""End boxes: choose them, show them, terminate them, forget their aliases, delete or keep their volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..aws import each_region, together
from ..errors import BootstrapError, IncompleteError, Interrupted, RegionReason, Resource
from ..models import Instance, StateChange, TerminateReport, Termination, Volume
from .names import check_all_found, located
from .unknown import is_unknown, look_up

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Target:
    """An instance to end, and the data volumes that are meant for it."""

    instance: Instance
    volumes: tuple[Volume, ...]

    @property
    def doomed(self) -> tuple[Volume, ...]:
        """The volumes that go with it: made by this tool, not marked to stay, not in use by another instance."""
        free_for_us = (None, self.instance.instance_id)
        return tuple(v for v in self.volumes if v.created_by_us and not v.kept and v.attached_to in free_for_us)


@dataclass
class Ending:
    """What has become of one target so far. Filled as it happens, so that an interrupt can tell it."""

    target: Target
    keep_ebs: bool
    sent: bool = False
    """Whether TerminateInstances was sent for it: it may end, whatever is answered."""
    change: StateChange | None = None
    """What EC2 said or shows of its end; None while it is not known to end."""
    unknown: bool = False
    """Whether EC2 could not be asked what became of it."""
    deleting: set[str] = field(default_factory=set)
    """The volumes for which DeleteVolume was sent."""
    deleted: list[str] = field(default_factory=list)
    errors: list[BootstrapError] = field(default_factory=list)
    stopped: bool = False
    """Set by an interrupt: what still runs beside it sends nothing more."""

    @property
    def instance_id(self) -> str:
        """Of the target."""
        return self.target.instance.instance_id

    @property
    def region(self) -> str:
        """Of the target."""
        return self.target.instance.region

    @property
    def left(self) -> tuple[Volume, ...]:
        """The volumes that should go and have not."""
        if self.keep_ebs:
            return ()
        return tuple(v for v in self.target.doomed if v.volume_id not in self.deleted)


def find_targets(app: App, names: Sequence[str], region: str | None) -> tuple[Target, ...]:
    """The instances named by id or alias, wherever they are; all of ours in the region if none is named."""
    if not names:
        where = region or app.aws.region
        client = app.aws.ec2(where)
        instances, volumes = together(lambda: ec2.find_instances(client), lambda: ec2.find_volumes(client))
        return _joined((i for i in instances if i.state != "shutting-down"), volumes)
    wanted = located(app, names, (region,) if region else ())
    found, failed = each_region(wanted, lambda where: _in_region(app, where, wanted[where]))
    targets = tuple(target for region_targets in found.values() for target in region_targets)
    check_all_found(wanted, (t.instance.instance_id for t in targets), failed)
    return tuple({t.instance.instance_id: t for t in targets}.values())


def _in_region(app: App, region: str, ids: Sequence[str]) -> tuple[Target, ...]:
    client = app.aws.ec2(region)
    instances, volumes = together(lambda: ec2.get_instances(client, ids), lambda: ec2.find_volumes(client))
    return _joined(instances, volumes)


def _joined(instances: Iterable[Instance], volumes: Iterable[Volume]) -> tuple[Target, ...]:
    listed = list(volumes)
    return tuple(Target(i, tuple(v for v in listed if v.instance_id == i.instance_id)) for i in instances)


def question(targets: Sequence[Target], *, keep_ebs: bool) -> str:
    """What the user is asked to agree to."""
    lines = [f"  {_line(t)}" for t in targets]
    volumes = [v for t in targets for v in t.doomed]
    if volumes and not keep_ebs:
        lines.append("Data volumes that would be deleted, with everything on them:")
        lines += [f"  {v.volume_id}  {v.size_gb} GB  in {v.region}" for v in volumes]
    instances = "1 instance" if len(targets) == 1 else f"{len(targets)} instances"
    return "\n".join([*lines, f"Terminate {instances}?"])


def apply(app: App, targets: Sequence[Target], *, keep_ebs: bool) -> TerminateReport:
    """End the targets, each region at the same time. IncompleteError if some failed, with what became of the rest."""
    endings = [Ending(target, keep_ebs) for target in targets]
    aliases: dict[str, str] = {}
    try:
        together(*(partial(_end, app, in_region) for in_region in _by_region(endings).values()))
        aliases |= _forget(app, endings)
        together(*(partial(_delete_volumes, app, ending) for ending in endings if ending.change))
    except KeyboardInterrupt as exc:
        _settle(app, endings)
        aliases |= _forget(app, endings)
        raise _told(Interrupted.of(exc), app, endings, aliases) from exc
    failed = [ending for ending in endings if ending.errors]
    if failed:
        raise _told(_partly(failed, endings), app, endings, aliases)
    return _report(app, endings, aliases)


def _by_region(endings: Iterable[Ending]) -> dict[str, list[Ending]]:
    by_region: dict[str, list[Ending]] = {}
    for ending in endings:
        by_region.setdefault(ending.region, []).append(ending)
    return by_region


def _forget(app: App, endings: Sequence[Ending]) -> dict[str, str]:
    """The aliases removed. A config that cannot be written must not hide what was ended: each counts as failed."""
    ended = [e for e in endings if e.change]
    ids = [e.instance_id for e in ended]
    try:
        aliases = sshconfig.remove(app.paths.ssh_config, ids)
        sshconfig.forget_host_keys(app.paths.known_hosts, ids)
    except BootstrapError as exc:
        for ending in ended:
            ending.errors.append(exc)
        return {}
    return aliases


def _report(app: App, endings: Sequence[Ending], aliases: dict[str, str]) -> TerminateReport:
    ended = tuple(_termination(e, e.change, aliases) for e in endings if e.change)
    return TerminateReport(ended, access=app.access)


def _termination(ending: Ending, change: StateChange, aliases: dict[str, str]) -> Termination:
    instance = ending.target.instance
    gone = {*ending.deleted, *(v.volume_id for v in ending.left)}
    kept = tuple(v.volume_id for v in ending.target.volumes if v.volume_id not in gone)
    return Termination(
        instance_id=instance.instance_id,
        previous_state=change.previous_state,
        current_state=change.current_state,
        ssh_alias_removed=aliases.get(instance.instance_id),
        ebs_volumes_deleted=tuple(ending.deleted) or None,
        ebs_volumes_kept=kept or None,
        region=instance.region,
        availability_zone=instance.availability_zone,
    )


# --- what failed, and what is left -----------------------------------------------------------------------


def _partly(failed: Sequence[Ending], endings: Sequence[Ending]) -> BootstrapError:
    """The error for targets that failed: exit 3 if anything was done or may have been, 1 if nothing was."""
    done = any(e.change or e.unknown for e in endings)
    kind = IncompleteError if done else BootstrapError
    first = failed[0].errors[0]
    names = ", ".join(e.instance_id for e in failed)
    error = kind(f"Could not finish {names}: {first}", hint=first.hint, code=first.code)
    reasons = [RegionReason(e.region, f"{e.instance_id}: {reason}") for e in failed for reason in e.errors]
    return error.with_facts(regions=tuple(reasons))


def _told(error: BootstrapError, app: App, endings: Sequence[Ending], aliases: dict[str, str]) -> BootstrapError:
    """The error, with what became of each target, what still bills, and the commands that end that."""
    bills: list[Resource] = []
    for ending in endings:
        if not ending.change:
            bills.append(Resource("instance", ending.instance_id, ending.region, billing=True))
        bills += [Resource("volume", v.volume_id, v.region, billing=True) for v in ending.left]
    hints = [error.hint, *_ways_on(app.access.program, endings)]
    error.with_facts(resources=tuple(bills), hint="\n".join(filter(None, hints)) or None)
    return error.with_result(_report(app, endings, aliases))


def _ways_on(program: str, endings: Sequence[Ending]) -> list[str]:
    """The commands that end what still bills, each with what it is for."""
    ways: list[str] = []
    unknown = [e.instance_id for e in endings if e.unknown]
    if unknown:
        ways.append(f"Whether {', '.join(unknown)} ends is not known: EC2 could not be asked.")
    for region, in_region in _by_region(e for e in endings if not e.change).items():
        names = " ".join(e.instance_id for e in in_region)
        keep = " --keep-ebs" if in_region[0].keep_ebs else ""
        ways.append(f"End what still runs:  {program} terminate {names} --region {region}{keep}")
    if any(e.change and e.left for e in endings):
        ways.append(f"Delete what is left, once it is free:  {program} cleanup --include-ebs")
    return ways


def _settle(app: App, endings: Sequence[Ending]) -> None:
    """After an interrupt: send nothing more, and look up what the calls under way did."""
    for ending in endings:
        ending.stopped = True
    looks: list[Callable[[], object]] = []
    for region, in_region in _by_region(endings).items():
        client = app.aws.ec2(region)
        sent = [e for e in in_region if e.sent and not e.change]
        looks.append(partial(_look_whether_ended, app, client, sent))
        for ending in in_region:
            for volume_id in tuple(ending.deleting):
                looks.append(partial(_look_whether_deleted, app, client, ending, volume_id))
    together(*looks)


# --- ending ----------------------------------------------------------------------------------------------


def _end(app: App, endings: Sequence[Ending]) -> None:
    """End one region's targets: volumes to keep are marked first, in case we die.

    All in one call; one by one where EC2 refuses that, so that one protected instance does not save the others.
    """
    client = app.aws.ec2(endings[0].region)
    ready = [e for e in endings if not e.keep_ebs or _marked(app, client, e)]
    for ending in ready:
        ending.sent = True
    ready = [e for e in ready if not e.stopped]
    if not ready:
        return
    try:
        changes = ec2.terminate_instances(client, [e.instance_id for e in ready])
    except BootstrapError as exc:
        if is_unknown(exc):
            _look_whether_ended(app, client, ready, exc)
        elif len(ready) == 1:
            ready[0].errors.append(exc)
        else:
            for ending in ready:
                _end(app, [ending])
        return
    by_id = {change.instance_id: change for change in changes}
    for ending in ready:
        ending.change = by_id.get(ending.instance_id)
    untold = BootstrapError("EC2 did not say what became of it.", code="aws-error")
    _look_whether_ended(app, client, [e for e in ready if not e.change], untold)


def _look_whether_ended(app: App, client: Any, endings: Sequence[Ending], cause: BootstrapError | None = None) -> None:
    """Note which instances end though no answer said so; for the others, the cause and whether that is known."""
    if not endings:
        return
    _tell_look(endings)

    def look() -> bool | None:
        for instance in ec2.get_instances(client, [e.instance_id for e in endings]):
            if instance.state in ec2.ENDED:
                _note_end(endings, instance)
        return True if all(e.change for e in endings) else None

    lookup = look_up(look, app.lookup_seconds)
    for ending in endings:
        ending.unknown = lookup.unknown and not ending.change
        if cause and not ending.change:
            ending.errors.append(cause)


def _note_end(endings: Sequence[Ending], now: Instance) -> None:
    for ending in endings:
        if ending.instance_id == now.instance_id:
            before = ending.target.instance.state
            ending.change = StateChange(now.instance_id, previous_state=before, current_state=now.state)


def _tell_look(endings: Sequence[Ending]) -> None:
    output.info(f"Looking whether {', '.join(e.instance_id for e in endings)} ends")


def _marked(app: App, client: Any, ending: Ending) -> bool:
    """Whether the target's volumes are all marked to stay; if not, it is not ended."""
    for volume in ending.target.doomed:
        try:
            ec2.keep_ebs_volume(client, volume.volume_id)
        except BootstrapError as exc:
            kept = partial(_is_kept, client, volume.volume_id)
            if not is_unknown(exc) or not look_up(kept, app.lookup_seconds).found:
                ending.errors.append(exc)
                return False
    return True


def _is_kept(client: Any, volume_id: str) -> bool | None:
    volume = ec2.find_volume(client, volume_id)
    return True if volume and volume.kept else None


# --- volumes ---------------------------------------------------------------------------------------------


def _delete_volumes(app: App, ending: Ending) -> None:
    """Delete what goes with the instance, all at the same time, each once EC2 has let go of it."""
    client, volumes = app.aws.ec2(ending.region), ending.left
    _tell_waiting(volumes)
    together(*(partial(_delete, app, client, ending, volume.volume_id) for volume in volumes))


def _delete(app: App, client: Any, ending: Ending, volume_id: str) -> None:
    try:
        ec2.wait_detached(client, volume_id, ending.instance_id)
        ending.deleting.add(volume_id)
        if ending.stopped:
            return
        ec2.delete_ebs_volume(client, volume_id)
    except BootstrapError as exc:
        if not is_unknown(exc) or not _look_whether_deleted(app, client, ending, volume_id):
            ending.errors.append(exc)
        return
    ending.deleted.append(volume_id)


def _look_whether_deleted(app: App, client: Any, ending: Ending, volume_id: str) -> bool:
    """Whether a volume went though no answer said so; one that did is noted."""
    if volume_id in ending.deleted:
        return True
    lookup = look_up(partial(_is_gone, client, volume_id), app.lookup_seconds)
    if lookup.found:
        ending.deleted.append(volume_id)
    return bool(lookup.found)


def _is_gone(client: Any, volume_id: str) -> bool | None:
    volume = ec2.find_volume(client, volume_id)
    return True if volume is None or volume.state in ("deleting", "deleted") else None


def _tell_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")


def _line(target: Target) -> str:
    i = target.instance
    return f"{i.instance_id}  {i.instance_type}  {i.lifecycle}  {i.state}  {i.public_ip or '-'}  in {i.region}"
