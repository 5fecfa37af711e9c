"""End boxes: choose them, show them, terminate them, forget their aliases, delete or keep their volumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..errors import BootstrapError, IncompleteError, Interrupted
from ..invocation import PROGRAM
from ..models import RegionReason, Resource, StateChange, TerminateReport, Termination, Volume
from ..parallel import run_parallel
from .inventory import Box, read, select
from .unknown import Calls, is_unknown, note_nothing

if TYPE_CHECKING:
    from ..app import App


@dataclass
class Ending:
    """What has become of one box so far. Filled as it happens, so that an interrupt can report it."""

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
        """Return the instance id of the box."""
        return self.box.instance_id

    @property
    def region(self) -> str:
        """Return the region of the box."""
        return self.box.region

    @property
    def left(self) -> tuple[Volume, ...]:
        """Return the volumes that are to be deleted and are not deleted yet."""
        if self.keep_ebs:
            return ()
        left: list[Volume] = []
        for volume in self.box.deletable_volumes:
            if volume.volume_id not in self.deleted:
                left.append(volume)
        return tuple(left)


@dataclass
class Run:
    """A terminate under way."""

    app: App
    endings: list[Ending]
    calls: Calls
    aliases: dict[str, str] = field(default_factory=dict)
    """Those removed, by instance id."""

    @property
    def ended(self) -> list[Ending]:
        """Return the endings of the boxes that are known to end."""
        return [ending for ending in self.endings if ending.change]

    @property
    def not_ended(self) -> list[Ending]:
        """Return the endings of the boxes that are not known to end."""
        return [ending for ending in self.endings if not ending.change]

    @property
    def unknown(self) -> list[Ending]:
        """Return the endings of which EC2 could not be asked what became of them."""
        return [ending for ending in self.not_ended if ending.call in self.calls.unknown]


def find_targets(app: App, names: Sequence[str], region: str | None) -> tuple[Box, ...]:
    """Return the boxes named by alias or id, wherever they are; all of ours in the region if none is named.

    One that has ended may be named: its volumes may be left.
    """
    if names:
        regions: list[str] = []
        if region:
            regions.append(region)
        return select(app, names, regions, ended=True)
    # An SSH config that cannot be read must not keep a box running: without names, no host is needed.
    boxes = read(app, (region or app.aws.region,), hosts=()).boxes
    return tuple(box for box in boxes if not box.has_ended)


def question(targets: Sequence[Box], *, keep_ebs: bool) -> str:
    """Return what the user is asked to agree to."""
    lines: list[str] = []
    volumes: list[Volume] = []
    for target in targets:
        lines.append(f"  {_line(target)}")
        volumes += target.deletable_volumes
    if volumes and not keep_ebs:
        lines.append("Data volumes that would be deleted, with everything on them:")
        for volume in volumes:
            lines.append(f"  {volume.volume_id}  {volume.size_gb} GB  in {volume.region}")
    instances = "1 instance" if len(targets) == 1 else f"{len(targets)} instances"
    lines.append(f"Terminate {instances}?")
    return "\n".join(lines)


def apply(app: App, targets: Sequence[Box], *, keep_ebs: bool) -> TerminateReport:
    """End the targets, each region at the same time. IncompleteError if some failed, with what became of the rest."""
    endings = [Ending(target, keep_ebs) for target in targets]
    run = Run(app, endings, Calls(app.lookup_seconds))
    try:
        _end_all(run)
        _forget(run)
        _delete_all_volumes(run)
    except KeyboardInterrupt as exc:
        run.calls.settle()
        _forget(run)
        raise _with_outcome(Interrupted.of(exc), run) from exc
    failed = [ending for ending in run.endings if ending.errors]
    if failed:
        raise _with_outcome(_incomplete(run, failed), run)
    return _report(run)


def _by_region(endings: Iterable[Ending]) -> dict[str, list[Ending]]:
    by_region: dict[str, list[Ending]] = {}
    for ending in endings:
        by_region.setdefault(ending.region, []).append(ending)
    return by_region


def _instance_ids(endings: Iterable[Ending]) -> list[str]:
    return [ending.instance_id for ending in endings]


def _forget(run: Run) -> None:
    """Remove the aliases. A config that cannot be written must not hide what was ended: each counts as failed."""
    ended = run.ended
    ids = _instance_ids(ended)
    try:
        run.aliases |= sshconfig.remove(run.app.paths.ssh_config, ids)
        sshconfig.forget_host_keys(run.app.paths.known_hosts, ids)
    except BootstrapError as exc:
        for ending in ended:
            ending.errors.append(exc)


def _report(run: Run) -> TerminateReport:
    ended: list[Termination] = []
    for ending in run.endings:
        if ending.change:
            ended.append(_termination(ending, ending.change, run.aliases))
    return TerminateReport(tuple(ended))


def _termination(ending: Ending, change: StateChange, aliases: dict[str, str]) -> Termination:
    instance = ending.box.instance
    not_kept = set(ending.deleted)
    for volume in ending.left:
        not_kept.add(volume.volume_id)
    kept: list[str] = []
    for volume in ending.box.volumes:
        if volume.volume_id not in not_kept:
            kept.append(volume.volume_id)
    return Termination(
        instance_id=instance.instance_id,
        previous_state=change.previous_state,
        current_state=change.current_state,
        ssh_alias_removed=aliases.get(instance.instance_id),
        ebs_volumes_deleted=tuple(ending.deleted) or None,
        ebs_volumes_kept=tuple(kept) or None,
        region=instance.region,
        availability_zone=instance.availability_zone,
    )


# --- what failed, and what is left -----------------------------------------------------------------------


def _incomplete(run: Run, failed: Sequence[Ending]) -> BootstrapError:
    """Return the error for targets that failed: exit 3 if anything was done or may have been, 1 if nothing was."""
    error_type: type[BootstrapError] = BootstrapError
    if run.unknown or run.ended:
        error_type = IncompleteError
    names = ", ".join(_instance_ids(failed))
    first = failed[0].errors[0]
    error = error_type(f"Could not finish {names}: {first}", hint=first.hint, code=first.code)
    reasons: list[RegionReason] = []
    for ending in failed:
        for reason in ending.errors:
            reasons.append(RegionReason(ending.region, f"{ending.instance_id}: {reason}"))
    return error.add_details(regions=tuple(reasons))


def _with_outcome(error: BootstrapError, run: Run) -> BootstrapError:
    """Return the error with what became of each target, what still bills, and the commands that end that."""
    billing = _billing(run)
    hints = [error.hint, *_ways_on(run)]
    error.add_details(resources=billing, hint="\n".join(filter(None, hints)) or None)
    return error.attach_result(_report(run))


def _billing(run: Run) -> tuple[Resource, ...]:
    """Return the instances and volumes that still bill."""
    billing: list[Resource] = []
    for ending in run.endings:
        if not ending.change:
            billing.append(Resource("instance", ending.instance_id, ending.region, billing=True))
        for volume in ending.left:
            billing.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    return tuple(billing)


def _ways_on(run: Run) -> list[str]:
    """Return the commands that end what still bills, each with what it is for."""
    ways: list[str] = []
    if run.unknown:
        names = ", ".join(_instance_ids(run.unknown))
        ways.append(f"Whether {names} ends is not known: EC2 could not be asked.")
    for region, in_region in _by_region(run.not_ended).items():
        names = " ".join(_instance_ids(in_region))
        command = f"{PROGRAM} terminate {names} --region {region}"
        if in_region[0].keep_ebs:
            command += " --keep-ebs"
        ways.append(f"End what still runs:  {command}")
    if any(ending.left for ending in run.ended):
        ways.append(f"Delete what is left, once it is free:  {PROGRAM} cleanup --include-ebs")
    return ways


# --- ending ----------------------------------------------------------------------------------------------


def _end_all(run: Run) -> None:
    """End the targets, each region at the same time."""
    by_region = _by_region(run.endings)
    calls = [partial(_end, run, in_region) for in_region in by_region.values()]
    run_parallel(calls)


def _end(run: Run, endings: Sequence[Ending]) -> None:
    """End one region's targets: volumes to keep are marked first, in case we die.

    All in one call; one by one where EC2 refuses that, so that one protected instance does not save the others.
    """
    client = run.app.aws.ec2(endings[0].region)
    ready: list[Ending] = []
    for ending in endings:
        if not ending.keep_ebs or _mark_to_keep(run, client, ending):
            ready.append(ending)
    if not ready:
        return
    ids = _instance_ids(ready)
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
    """Return the ends that EC2 shows, once it shows all of them; fewer are noted at once."""
    state_before: dict[str, str] = {}
    for ending in endings:
        state_before[ending.instance_id] = ending.box.instance.state
    changes: list[StateChange] = []
    for instance in ec2.get_instances(client, list(state_before)):
        if instance.state in ec2.ENDED:
            instance_id = instance.instance_id
            changes.append(StateChange(instance_id, state_before[instance_id], instance.state))
    _note_ends(endings, changes)
    if len(changes) != len(endings):
        return None
    return changes


def _note_ends(endings: Iterable[Ending], changes: Iterable[StateChange]) -> None:
    """Note what EC2 says of each box; one that it does not name stays as it was noted."""
    by_id = {change.instance_id: change for change in changes}
    for ending in endings:
        ending.change = by_id.get(ending.instance_id, ending.change)


def _mark_to_keep(run: Run, client: Any, ending: Ending) -> bool:
    """Mark the target's volumes to stay. Return whether all are marked; if not, the target is not ended."""
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
    """Return the volume, once its mark shows."""
    volume = ec2.find_volume(client, volume_id)
    if volume is None or not volume.kept:
        return None
    return volume


# --- volumes ---------------------------------------------------------------------------------------------


def _delete_all_volumes(run: Run) -> None:
    """Delete what goes with the boxes that end, all at the same time."""
    calls = [partial(_delete_volumes, run, ending) for ending in run.ended]
    run_parallel(calls)


def _delete_volumes(run: Run, ending: Ending) -> None:
    """Delete what goes with the instance, all at the same time, each once EC2 has let go of it."""
    client = run.app.aws.ec2(ending.region)
    volumes = ending.left
    _report_waiting(volumes)
    calls = [partial(_delete, run, client, ending, volume.volume_id) for volume in volumes]
    run_parallel(calls)


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


def _report_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")


def _line(box: Box) -> str:
    instance = box.instance
    address = instance.public_ip or "-"
    words = [instance.instance_id, instance.instance_type, instance.lifecycle, instance.state, address]
    return "  ".join([*words, f"in {instance.region}"])
