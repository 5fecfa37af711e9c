"""End boxes: choose them, show them, terminate them, forget their aliases, delete or keep their volumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..aws import each_region, together
from ..errors import BootstrapError, IncompleteError, Interrupted, RegionReason, Resource, Terminated
from ..models import Instance, StateChange, TerminateReport, Termination, Volume
from .names import check_all_found, located

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
        mine = (None, self.instance.instance_id)
        return tuple(v for v in self.volumes if v.created_by_us and not v.kept and v.attached_to in mine)


@dataclass
class Ending:
    """What has become of one target so far. Filled as it happens, so that an interrupt can tell it."""

    target: Target
    change: StateChange | None = None
    deleted: list[str] = field(default_factory=list)
    errors: list[BootstrapError] = field(default_factory=list)

    @property
    def instance_id(self) -> str:
        """Of the target."""
        return self.target.instance.instance_id

    def left(self, *, keep_ebs: bool) -> tuple[Volume, ...]:
        """The volumes that should have gone and have not."""
        doomed = () if keep_ebs or not self.change else self.target.doomed
        return tuple(v for v in doomed if v.volume_id not in self.deleted)


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


def question(targets: Sequence[Target], *, keep_ebs: bool) -> str:
    """What the user is asked to agree to."""
    lines = [f"  {_line(t)}" for t in targets]
    volumes = [v for t in targets for v in t.doomed]
    if volumes and not keep_ebs:
        lines += ["Data volumes that would be deleted, with everything on them:"]
        lines += [f"  {v.volume_id}  {v.size_gb} GB  in {v.region}" for v in volumes]
    return "\n".join([*lines, f"Terminate {len(targets)} instance{'s' * (len(targets) != 1)}?"])


def apply(app: App, targets: Sequence[Target], *, keep_ebs: bool) -> TerminateReport:
    """End the targets, each region at the same time. IncompleteError if some failed, with what became of the rest."""
    endings = [Ending(t) for t in targets]
    regions = sorted({t.instance.region for t in targets})
    by_region = {r: [e for e in endings if e.target.instance.region == r] for r in regions}
    aliases: dict[str, str] = {}
    try:
        together(*(lambda r=r: _end(app, by_region[r], keep_ebs) for r in regions))
        aliases |= _forget(app, endings)
        together(*(lambda e=e: _delete_volumes(app, e, keep_ebs) for e in endings))
    except KeyboardInterrupt as exc:
        aliases |= _forget(app, endings)
        _tell_unknown(endings)
        raise _told(Interrupted(15 if isinstance(exc, Terminated) else 2), app, endings, aliases, keep_ebs) from exc
    failed = [e for e in endings if e.errors]
    if failed:
        raise _told(_partly(failed, done=any(e.change for e in endings)), app, endings, aliases, keep_ebs)
    return _report(app, endings, aliases, keep_ebs)


def _tell_unknown(endings: Sequence[Ending]) -> None:
    for ending in endings:
        if not ending.change:
            output.warn(f"Whether {ending.instance_id} ends is not known: look with status")


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


def _report(app: App, endings: Sequence[Ending], aliases: dict[str, str], keep_ebs: bool) -> TerminateReport:
    ended = tuple(_termination(e, aliases, keep_ebs) for e in endings if e.change)
    return TerminateReport(ended, access=app.access)


def _told(
    error: BootstrapError, app: App, endings: Sequence[Ending], aliases: dict[str, str], keep_ebs: bool
) -> BootstrapError:
    """The error, with what became of each target, and the volumes that still bill."""
    left = [v for e in endings for v in e.left(keep_ebs=keep_ebs)]
    error.with_facts(resources=tuple(Resource("volume", v.volume_id, v.region, billing=True) for v in left))
    if left:
        again = f"Delete what is left, once it is free:  {app.access.program} cleanup --include-ebs"
        error.with_facts(hint="\n".join(filter(None, [error.hint, again])))
    return error.with_result(_report(app, endings, aliases, keep_ebs))


def _in_region(app: App, region: str, ids: Sequence[str]) -> tuple[Target, ...]:
    client = app.aws.ec2(region)
    instances, volumes = together(lambda: ec2.get_instances(client, ids), lambda: ec2.find_volumes(client))
    return _joined(instances, volumes)


def _joined(instances: Iterable[Instance], volumes: Iterable[Volume]) -> tuple[Target, ...]:
    listed = list(volumes)
    return tuple(Target(i, tuple(v for v in listed if v.instance_id == i.instance_id)) for i in instances)


def _end(app: App, endings: Sequence[Ending], keep_ebs: bool) -> None:
    """End one region's targets: volumes to keep are marked first, in case we die.

    All in one call; one by one where EC2 refuses that, so that one protected instance does not save the others.
    """
    client = app.aws.ec2(endings[0].target.instance.region)
    marked = [e for e in endings if not keep_ebs or _marked(client, e)]
    if not marked:
        return
    try:
        changes = ec2.terminate_instances(client, [e.instance_id for e in marked])
    except BootstrapError as exc:
        if len(marked) == 1:
            marked[0].errors.append(exc)
            return
        for ending in marked:
            _end(app, [ending], keep_ebs)
        return
    by_id = {c.instance_id: c for c in changes}
    for ending in marked:
        ending.change = by_id[ending.instance_id]


def _marked(client: Any, ending: Ending) -> bool:
    """Whether the target's volumes are all marked to stay; if not, it is not ended."""
    try:
        for volume in ending.target.doomed:
            ec2.keep_ebs_volume(client, volume.volume_id)
    except BootstrapError as exc:
        ending.errors.append(exc)
        return False
    return True


def _delete_volumes(app: App, ending: Ending, keep_ebs: bool) -> None:
    """Delete what goes with the instance, all at the same time, each once EC2 has let go of it."""
    client, volumes = app.aws.ec2(ending.target.instance.region), ending.left(keep_ebs=keep_ebs)
    _tell_waiting(volumes)
    together(*(lambda v=volume: _delete(client, ending, v.volume_id) for volume in volumes))


def _delete(client: Any, ending: Ending, volume_id: str) -> None:
    try:
        ec2.wait_detached(client, volume_id, ending.instance_id)
        ec2.delete_ebs_volume(client, volume_id)
        ending.deleted.append(volume_id)
    except BootstrapError as exc:
        ending.errors.append(exc)


def _tell_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")


def _termination(ending: Ending, aliases: dict[str, str], keep_ebs: bool) -> Termination:
    assert ending.change
    instance, left = ending.target.instance, ending.left(keep_ebs=keep_ebs)
    kept = tuple(v.volume_id for v in ending.target.volumes if v.volume_id not in ending.deleted and v not in left)
    return Termination(
        instance_id=instance.instance_id,
        previous_state=ending.change.previous_state,
        current_state=ending.change.current_state,
        ssh_alias_removed=aliases.get(instance.instance_id),
        ebs_volumes_deleted=tuple(ending.deleted) or None,
        ebs_volumes_kept=kept or None,
        region=instance.region,
        availability_zone=instance.availability_zone,
    )


def _partly(failed: Sequence[Ending], *, done: bool) -> BootstrapError:
    """The error for targets that failed: exit 3 if anything was done, 1 if nothing was."""
    kind = IncompleteError if done else BootstrapError
    first = failed[0].errors[0]
    names = ", ".join(e.instance_id for e in failed)
    error = kind(f"Could not finish {names}: {first}", hint=first.hint, code=first.code)
    reasons = (RegionReason(e.target.instance.region, f"{e.instance_id}: {x}") for e in failed for x in e.errors)
    return error.with_facts(regions=tuple(reasons))


def _line(target: Target) -> str:
    i = target.instance
    return f"{i.instance_id}  {i.instance_type}  {i.lifecycle}  {i.state}  {i.public_ip or '-'}  in {i.region}"
