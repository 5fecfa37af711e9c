"""End boxes: choose them, show them, terminate them, forget their aliases, delete or keep their volumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..aws import together
from ..errors import BootstrapError, IncompleteError, Interrupted, RegionReason, Resource
from ..models import StateChange, TerminateReport, Termination, Volume
from .inventory import Box, read, select
from .unknown import Calls, is_unknown, note_nothing

if TYPE_CHECKING:
    from ..app import App


@dataclass
class Ending:
    """What has become of one box so far. Filled as it happens, so that an interrupt can tell it."""

    box: Box
    keep_ebs: bool
    call: str = ""
    """The name of the TerminateInstances that was sent for it."""
    change: StateChange | None = None
    """What EC2 said or shows of its end; None while it is not known to end."""
    deleted: list[str] = field(default_factory=list)
    errors: list[BootstrapError] = field(default_factory=list)

    @property
    def instance_id(self) -> str:
        """Of the box."""
        return self.box.instance_id

    @property
    def region(self) -> str:
        """Of the box."""
        return self.box.region

    @property
    def left(self) -> tuple[Volume, ...]:
        """The volumes that should go and have not."""
        if self.keep_ebs:
            return ()
        return tuple(v for v in self.box.deletable_volumes if v.volume_id not in self.deleted)


@dataclass
class Run:
    """A terminate under way."""

    app: App
    endings: list[Ending]
    calls: Calls
    aliases: dict[str, str] = field(default_factory=dict)
    """Those removed, by instance id."""

    @property
    def unknown(self) -> list[Ending]:
        """The endings of which EC2 could not be asked what became of them."""
        return [e for e in self.endings if not e.change and e.call in self.calls.unknown]


def find_targets(app: App, names: Sequence[str], region: str | None) -> tuple[Box, ...]:
    """Return the boxes named by alias or id, wherever they are; all of ours in the region if none is named.

    One that has ended may be named: its volumes may be left.
    """
    if names:
        return select(app, names, (region,) if region else (), ended=True)
    # An SSH config that cannot be read must not keep a box running: without names, no host is needed.
    boxes = read(app, (region or app.aws.region,), hosts=()).boxes
    return tuple(box for box in boxes if not box.has_ended)


def question(targets: Sequence[Box], *, keep_ebs: bool) -> str:
    """What the user is asked to agree to."""
    lines = [f"  {_line(t)}" for t in targets]
    volumes = [v for t in targets for v in t.deletable_volumes]
    if volumes and not keep_ebs:
        lines.append("Data volumes that would be deleted, with everything on them:")
        lines += [f"  {v.volume_id}  {v.size_gb} GB  in {v.region}" for v in volumes]
    instances = "1 instance" if len(targets) == 1 else f"{len(targets)} instances"
    return "\n".join([*lines, f"Terminate {instances}?"])


def apply(app: App, targets: Sequence[Box], *, keep_ebs: bool) -> TerminateReport:
    """End the targets, each region at the same time. IncompleteError if some failed, with what became of the rest."""
    run = Run(app, [Ending(target, keep_ebs) for target in targets], Calls(app.lookup_seconds))
    try:
        together(*(partial(_end, run, in_region) for in_region in _by_region(run.endings).values()))
        _forget(run)
        together(*(partial(_delete_volumes, run, ending) for ending in run.endings if ending.change))
    except KeyboardInterrupt as exc:
        run.calls.settle()
        _forget(run)
        raise _told(Interrupted.of(exc), run) from exc
    failed = [ending for ending in run.endings if ending.errors]
    if failed:
        raise _told(_partly(run, failed), run)
    return _report(run)


def _by_region(endings: Iterable[Ending]) -> dict[str, list[Ending]]:
    by_region: dict[str, list[Ending]] = {}
    for ending in endings:
        by_region.setdefault(ending.region, []).append(ending)
    return by_region


def _forget(run: Run) -> None:
    """Remove the aliases. A config that cannot be written must not hide what was ended: each counts as failed."""
    ended = [e for e in run.endings if e.change]
    ids = [e.instance_id for e in ended]
    try:
        run.aliases |= sshconfig.remove(run.app.paths.ssh_config, ids)
        sshconfig.forget_host_keys(run.app.paths.known_hosts, ids)
    except BootstrapError as exc:
        for ending in ended:
            ending.errors.append(exc)


def _report(run: Run) -> TerminateReport:
    ended = tuple(_termination(e, e.change, run.aliases) for e in run.endings if e.change)
    return TerminateReport(ended, access=run.app.access)


def _termination(ending: Ending, change: StateChange, aliases: dict[str, str]) -> Termination:
    instance = ending.box.instance
    gone = {*ending.deleted, *(v.volume_id for v in ending.left)}
    kept = tuple(v.volume_id for v in ending.box.volumes if v.volume_id not in gone)
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


def _partly(run: Run, failed: Sequence[Ending]) -> BootstrapError:
    """The error for targets that failed: exit 3 if anything was done or may have been, 1 if nothing was."""
    done = run.unknown or any(e.change for e in run.endings)
    kind = IncompleteError if done else BootstrapError
    first = failed[0].errors[0]
    names = ", ".join(e.instance_id for e in failed)
    error = kind(f"Could not finish {names}: {first}", hint=first.hint, code=first.code)
    reasons = [RegionReason(e.region, f"{e.instance_id}: {reason}") for e in failed for reason in e.errors]
    return error.with_facts(regions=tuple(reasons))


def _told(error: BootstrapError, run: Run) -> BootstrapError:
    """The error, with what became of each target, what still bills, and the commands that end that."""
    bills: list[Resource] = []
    for ending in run.endings:
        if not ending.change:
            bills.append(Resource("instance", ending.instance_id, ending.region, billing=True))
        bills += [Resource("volume", v.volume_id, v.region, billing=True) for v in ending.left]
    hints = [error.hint, *_ways_on(run)]
    error.with_facts(resources=tuple(bills), hint="\n".join(filter(None, hints)) or None)
    return error.with_result(_report(run))


def _ways_on(run: Run) -> list[str]:
    """The commands that end what still bills, each with what it is for."""
    program = run.app.access.program
    ways: list[str] = []
    if run.unknown:
        names = ", ".join(e.instance_id for e in run.unknown)
        ways.append(f"Whether {names} ends is not known: EC2 could not be asked.")
    for region, in_region in _by_region(e for e in run.endings if not e.change).items():
        names = " ".join(e.instance_id for e in in_region)
        keep = " --keep-ebs" if in_region[0].keep_ebs else ""
        ways.append(f"End what still runs:  {program} terminate {names} --region {region}{keep}")
    if any(e.change and e.left for e in run.endings):
        ways.append(f"Delete what is left, once it is free:  {program} cleanup --include-ebs")
    return ways


# --- ending ----------------------------------------------------------------------------------------------


def _end(run: Run, endings: Sequence[Ending]) -> None:
    """End one region's targets: volumes to keep are marked first, in case we die.

    All in one call; one by one where EC2 refuses that, so that one protected instance does not save the others.
    """
    client = run.app.aws.ec2(endings[0].region)
    ready = [e for e in endings if not e.keep_ebs or _marked(run, client, e)]
    if not ready:
        return
    ids = [e.instance_id for e in ready]
    name = f"the end of {', '.join(ids)}"
    for ending in ready:
        ending.call = name
    try:
        run.calls.make(
            name,
            partial(ec2.terminate_instances, client, ids),
            look=partial(_find_ends, client, ready),
            note=partial(_note_ends, ready),
        )
    except BootstrapError as exc:
        if is_unknown(exc) or len(ready) == 1:
            _fail_what_runs(ready, exc)
        else:
            for ending in ready:
                _end(run, [ending])


def _fail_what_runs(endings: Iterable[Ending], cause: BootstrapError) -> None:
    """Note the cause for each of these that is not known to end."""
    for ending in endings:
        if not ending.change:
            ending.errors.append(cause)


def _find_ends(client: Any, endings: Sequence[Ending]) -> list[StateChange] | None:
    """The ends that EC2 shows, once it shows all of them; fewer are noted at once."""
    before = {e.instance_id: e.box.instance.state for e in endings}
    ended = [i for i in ec2.get_instances(client, list(before)) if i.state in ec2.ENDED]
    changes = [StateChange(i.instance_id, before[i.instance_id], i.state) for i in ended]
    _note_ends(endings, changes)
    return changes if len(changes) == len(endings) else None


def _note_ends(endings: Iterable[Ending], changes: Iterable[StateChange]) -> None:
    by_id = {change.instance_id: change for change in changes}
    for ending in endings:
        ending.change = by_id.get(ending.instance_id, ending.change)


def _marked(run: Run, client: Any, ending: Ending) -> bool:
    """Whether the target's volumes are all marked to stay; if not, it is not ended."""
    for volume in ending.box.deletable_volumes:
        try:
            run.calls.make(
                f"the mark to keep {volume.volume_id}",
                partial(ec2.keep_ebs_volume, client, volume.volume_id),
                look=partial(_find_mark, client, volume.volume_id),
                note=note_nothing,
            )
        except BootstrapError as exc:
            ending.errors.append(exc)
            return False
    return True


def _find_mark(client: Any, volume_id: str) -> Volume | None:
    """The volume, once its mark shows."""
    volume = ec2.find_volume(client, volume_id)
    return volume if volume and volume.kept else None


# --- volumes ---------------------------------------------------------------------------------------------


def _delete_volumes(run: Run, ending: Ending) -> None:
    """Delete what goes with the instance, all at the same time, each once EC2 has let go of it."""
    client, volumes = run.app.aws.ec2(ending.region), ending.left
    _tell_waiting(volumes)
    together(*(partial(_delete, run, client, ending, volume.volume_id) for volume in volumes))


def _delete(run: Run, client: Any, ending: Ending, volume_id: str) -> None:
    try:
        ec2.wait_detached(client, volume_id, ending.instance_id)
        run.calls.make(
            f"the deletion of {volume_id}",
            partial(ec2.delete_ebs_volume, client, volume_id),
            look=partial(ec2.find_deletion, client, volume_id),
            note=partial(_note_deletion, ending, volume_id),
        )
    except BootstrapError as exc:
        ending.errors.append(exc)


def _note_deletion(ending: Ending, volume_id: str, _: object) -> None:
    ending.deleted.append(volume_id)


def _tell_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")


def _line(box: Box) -> str:
    i = box.instance
    return f"{i.instance_id}  {i.instance_type}  {i.lifecycle}  {i.state}  {i.public_ip or '-'}  in {i.region}"
