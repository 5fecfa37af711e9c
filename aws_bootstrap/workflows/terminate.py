"""Terminate boxes: terminate the selected ones, remove their aliases, delete or keep their data volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, known_hosts, output, sshconfig
from ..errors import BootstrapError, IncompleteError, Interrupted
from ..invocation import PROGRAM
from ..models import KeptVolume, LeftOutBox, RegionReason, Resource, StateChange, TerminateReport, Termination, Volume
from ..models.facts import InstanceState
from ..parallel import run_parallel
from . import costs
from .box import Box
from .selection import Targets
from .unknown import Calls, is_unknown, note_nothing

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App


@dataclass
class BoxTermination:
    """The termination of one box, as far as it is done. It notes each result at once: an interrupt can report it."""

    box: Box
    keep_ebs: bool
    #: The name of the TerminateInstances call that was sent for the box.
    call: str = ""
    #: The state change that EC2 reports; None while the box is not known to terminate.
    change: StateChange | None = None
    #: The ids of the deleted volumes.
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
    def undeleted_volumes(self) -> tuple[Volume, ...]:
        """Return the volumes to delete that are not deleted yet."""
        if self.keep_ebs:
            return ()
        undeleted: list[Volume] = []
        for volume in self.box.deletable_volumes:
            if volume.volume_id not in self.deleted:
                undeleted.append(volume)
        return tuple(undeleted)


@dataclass
class TerminateProgress:
    """The termination of all targets, as far as it is done."""

    app: App
    boxes: list[BoxTermination]
    calls: Calls
    #: The boxes of the region that are not the caller's.
    left_out: tuple[LeftOutBox, ...] = ()
    #: The removed aliases, by instance id.
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def terminated(self) -> list[BoxTermination]:
        """Return the boxes that EC2 reports as terminated or shutting down."""
        return [termination for termination in self.boxes if termination.change]

    @property
    def not_terminated(self) -> list[BoxTermination]:
        """Return the boxes that are not known to terminate."""
        return [termination for termination in self.boxes if not termination.change]

    @property
    def unknown(self) -> list[BoxTermination]:
        """Return the boxes whose state could not be read after the call got no answer."""
        return [termination for termination in self.not_terminated if termination.call in self.calls.unknown]


def apply(app: App, targets: Targets, *, keep_ebs: bool) -> TerminateReport:
    """Terminate the targets of all regions in parallel. If some fail, raise an error with the report of the rest."""
    boxes = [BoxTermination(target, keep_ebs) for target in targets.boxes]
    progress = TerminateProgress(app, boxes, Calls(app.lookup_seconds), targets.left_out)
    try:
        _terminate_all(progress)
        _remove_aliases(progress)
        _delete_all_volumes(progress)
    except KeyboardInterrupt as exc:
        progress.calls.settle()
        _remove_aliases(progress)
        raise _with_partial_report(Interrupted.of(exc), progress) from exc
    failed = [termination for termination in progress.boxes if termination.errors]
    if failed:
        raise _with_partial_report(_incomplete(progress, failed), progress)
    return _report(progress)


def _by_region(boxes: Iterable[BoxTermination]) -> dict[str, list[BoxTermination]]:
    by_region: dict[str, list[BoxTermination]] = {}
    for termination in boxes:
        by_region.setdefault(termination.region, []).append(termination)
    return by_region


def _instance_ids(boxes: Iterable[BoxTermination]) -> list[str]:
    return [termination.instance_id for termination in boxes]


def _remove_aliases(progress: TerminateProgress) -> None:
    """Remove the aliases of the terminated boxes. If that fails, note the error for each, so that they are reported."""
    terminated = progress.terminated
    ids = _instance_ids(terminated)
    try:
        progress.aliases |= sshconfig.remove(progress.app.paths.ssh_config, ids)
        known_hosts.forget(progress.app.paths.known_hosts, ids)
    except BootstrapError as exc:
        for termination in terminated:
            termination.errors.append(exc)


def _report(progress: TerminateProgress) -> TerminateReport:
    terminations: list[Termination] = []
    for termination in progress.boxes:
        if termination.change:
            terminations.append(_termination(termination, termination.change, progress.aliases))
    return TerminateReport(tuple(terminations), left_out=progress.left_out)


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


# --- what failed, and what remains -----------------------------------------------------------------------


def _incomplete(progress: TerminateProgress, failed: Sequence[BoxTermination]) -> BootstrapError:
    """Return the error for targets that failed: exit code 3 if anything was changed or may have been, else 1."""
    error_type: type[BootstrapError] = BootstrapError
    if progress.unknown or progress.terminated:
        error_type = IncompleteError
    names = ", ".join(_instance_ids(failed))
    first = failed[0].errors[0]
    error = error_type(f"Could not complete the termination of {names}: {first}", hint=first.hint, code=first.code)
    reasons: list[RegionReason] = []
    for termination in failed:
        for reason in termination.errors:
            reasons.append(RegionReason(termination.region, f"{termination.instance_id}: {reason}"))
    return error.add_details(regions=tuple(reasons))


def _with_partial_report(error: BootstrapError, progress: TerminateProgress) -> BootstrapError:
    """Return the error with the report, the resources that still bill, and the commands that end their billing."""
    billing = _billing(progress)
    hints = [error.hint, *_next_commands(progress)]
    error.add_details(resources=billing, hint="\n".join(filter(None, hints)) or None)
    return error.attach_result(_report(progress))


def _billing(progress: TerminateProgress) -> tuple[Resource, ...]:
    """Return the instances and volumes that still bill."""
    billing: list[Resource] = []
    for termination in progress.boxes:
        if not termination.change:
            billing.append(Resource("instance", termination.instance_id, termination.region, billing=True))
        for volume in termination.undeleted_volumes:
            billing.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    return tuple(billing)


def _next_commands(progress: TerminateProgress) -> list[str]:
    """Return the commands that end the billing, each with its purpose."""
    hints: list[str] = []
    if progress.unknown:
        names = ", ".join(_instance_ids(progress.unknown))
        hints.append(f"It is unknown whether {names} terminates: EC2 did not answer.")
    for region, in_region in _by_region(progress.not_terminated).items():
        names = " ".join(_instance_ids(in_region))
        command = f"{PROGRAM} terminate {names} --region {region}"
        if in_region[0].keep_ebs:
            command += " --keep-ebs"
        hints.append(f"Terminate the rest: {command}")
    with_volumes = [termination for termination in progress.terminated if termination.undeleted_volumes]
    for region, in_region in _by_region(with_volumes).items():
        # A second termination deletes these volumes alone, whoever owns them.
        names = " ".join(_instance_ids(in_region))
        command = f"{PROGRAM} terminate {names} --region {region}"
        hints.append(f"Delete the remaining volumes once they are detached: {command}")
    return hints


# --- instances -------------------------------------------------------------------------------------------


def _terminate_all(progress: TerminateProgress) -> None:
    """Terminate the instances of all regions in parallel."""
    by_region = _by_region(progress.boxes)
    calls = [partial(_terminate, progress, in_region) for in_region in by_region.values()]
    run_parallel(calls)


def _terminate(progress: TerminateProgress, boxes: Sequence[BoxTermination]) -> None:
    """Terminate one region's instances. Volumes to keep are marked first, in case this process is killed.

    One call terminates all. If EC2 refuses it, each gets a call of its own, so that one protected instance does not
    keep the others running.
    """
    client = progress.app.aws.ec2(boxes[0].region)
    ready: list[BoxTermination] = []
    for termination in boxes:
        if not termination.keep_ebs or _mark_volumes_to_keep(progress, client, termination):
            ready.append(termination)
    if not ready:
        return
    ids = _instance_ids(ready)
    name = f"the termination of {', '.join(ids)}"
    for termination in ready:
        termination.call = name
    try:
        progress.calls.make(
            name,
            partial(ec2.terminate_instances, client, ids),
            look=partial(_find_terminations, client, ready),
            note=partial(_note_changes, ready),
        )
    except BootstrapError as exc:
        if is_unknown(exc) or len(ready) == 1:
            _note_error(ready, exc)
        else:
            for termination in ready:
                _terminate(progress, [termination])


def _note_error(boxes: Iterable[BoxTermination], cause: BootstrapError) -> None:
    """Note the error for each of these boxes that is not known to terminate."""
    for termination in boxes:
        if not termination.change:
            termination.errors.append(cause)


def _find_terminations(client: EC2Client, boxes: Sequence[BoxTermination]) -> list[StateChange] | None:
    """Return the state changes once EC2 reports all of the boxes as ended; note those that it reports before."""
    state_before: dict[str, InstanceState] = {}
    for termination in boxes:
        state_before[termination.instance_id] = termination.box.instance.state
    changes: list[StateChange] = []
    for instance in ec2.get_instances(client, list(state_before)):
        if instance.state in ec2.ENDED:
            instance_id = instance.instance_id
            changes.append(StateChange(instance_id, state_before[instance_id], instance.state))
    _note_changes(boxes, changes)
    if len(changes) != len(boxes):
        return None
    return changes


def _note_changes(boxes: Iterable[BoxTermination], changes: Iterable[StateChange]) -> None:
    """Note the state change of each box; keep the noted one of a box that is not among them."""
    by_id = {change.instance_id: change for change in changes}
    for termination in boxes:
        termination.change = by_id.get(termination.instance_id, termination.change)


def _mark_volumes_to_keep(progress: TerminateProgress, client: EC2Client, termination: BoxTermination) -> bool:
    """Mark the box's volumes to keep. Return whether all are marked; if not, the box must not be terminated."""
    for volume in termination.box.deletable_volumes:
        try:
            progress.calls.make(
                f"the keep tag of {volume.volume_id}",
                partial(ec2.keep_ebs_volume, client, volume.volume_id),
                look=partial(_find_kept_volume, client, volume.volume_id),
                note=note_nothing,
            )
        except BootstrapError as exc:
            termination.errors.append(exc)
            return False
    return True


def _find_kept_volume(client: EC2Client, volume_id: str) -> Volume | None:
    """Return the volume once it is marked to keep."""
    volume = ec2.find_volume(client, volume_id)
    if volume is None or not volume.kept:
        return None
    return volume


# --- volumes ---------------------------------------------------------------------------------------------


def _delete_all_volumes(progress: TerminateProgress) -> None:
    """Delete the volumes of the terminated boxes, those of all regions in parallel."""
    by_region = _by_region(progress.terminated)
    calls = [partial(_delete_volumes, progress, in_region) for in_region in by_region.values()]
    run_parallel(calls)


def _delete_volumes(progress: TerminateProgress, boxes: Sequence[BoxTermination]) -> None:
    """Delete one region's volumes, each once it is detached."""
    client = progress.app.aws.ec2(boxes[0].region)
    box_by_volume: dict[str, BoxTermination] = {}
    holders: dict[str, str] = {}
    for termination in boxes:
        volumes = termination.undeleted_volumes
        _report_waiting(volumes)
        for volume in volumes:
            box_by_volume[volume.volume_id] = termination
            holders[volume.volume_id] = termination.instance_id
    for settled in ec2.wait_detached(client, holders):
        deletions: list[Callable[[], None]] = []
        for volume_id, error in settled.items():
            if error:
                box_by_volume[volume_id].errors.append(error)
            else:
                deletions.append(partial(_delete, progress, client, box_by_volume[volume_id], volume_id))
        run_parallel(deletions)


def _delete(progress: TerminateProgress, client: EC2Client, termination: BoxTermination, volume_id: str) -> None:
    try:
        progress.calls.make(
            f"the deletion of {volume_id}",
            partial(ec2.delete_ebs_volume, client, volume_id),
            look=partial(ec2.find_deletion, client, volume_id),
            note=partial(_note_deletion, termination, volume_id),
        )
    except BootstrapError as exc:
        termination.errors.append(exc)


def _note_deletion(termination: BoxTermination, volume_id: str, _: object) -> None:
    termination.deleted.append(volume_id)


def _report_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")
