"""End boxes: choose them, show them, terminate them, forget their aliases, delete or keep their volumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        """The volumes that go with it: made by this tool and not marked to stay."""
        return tuple(v for v in self.volumes if v.created_by_us and not v.kept)


@dataclass(frozen=True)
class Ending:
    """What became of one target: AWS's word for it, or why it failed."""

    target: Target
    change: StateChange | None = None
    error: BootstrapError | None = None
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


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
    regions = sorted({t.instance.region for t in targets})
    by_region = {r: [t for t in targets if t.instance.region == r] for r in regions}
    endings = [
        e for ended in together(*(lambda r=r: _end(app, by_region[r], keep_ebs) for r in regions)) for e in ended
    ]
    ended = [e for e in endings if e.change]
    aliases, forgetting = _forget(app, [e.target.instance.instance_id for e in ended])
    try:
        settled = together(*(lambda e=e: _settle_volumes(app, e, keep_ebs) for e in ended))
    except KeyboardInterrupt as exc:
        raise _interrupted(ended, aliases, exc, app, keep_ebs) from exc
    report = TerminateReport(tuple(_termination(e, aliases) for e in settled), access=app.access)
    problems = [e for e in [*(e for e in endings if not e.change), *settled] if e.error]
    if problems:
        raise _partly(problems, report)
    if forgetting:
        raise IncompleteError(str(forgetting), hint=forgetting.hint, code=forgetting.code).with_result(report)
    return report


def _forget(app: App, ids: Sequence[str]) -> tuple[dict[str, str], BootstrapError | None]:
    """The aliases removed, and what kept us from it: an SSH config we cannot write must not hide what was ended."""
    try:
        aliases = sshconfig.remove(app.paths.ssh_config, ids)
        sshconfig.forget_host_keys(app.paths.known_hosts, ids)
    except BootstrapError as exc:
        return {}, exc
    return aliases, None


def _interrupted(
    ended: Sequence[Ending], aliases: dict[str, str], cause: KeyboardInterrupt, app: App, keep_ebs: bool
) -> BootstrapError:
    """Stopped while volumes were waited for: the instances end all the same, the volumes may stay."""
    volumes = () if keep_ebs else tuple(v for e in ended for v in e.target.doomed)
    error = Interrupted(15 if isinstance(cause, Terminated) else 2)
    error.with_facts(
        resources=tuple(Resource("volume", v.volume_id, v.region, billing=True) for v in volumes),
        hint=f"See which volumes are left: {app.access.program} status" if volumes else None,
    )
    return error.with_result(TerminateReport(tuple(_termination(e, aliases) for e in ended), access=app.access))


def _in_region(app: App, region: str, ids: Sequence[str]) -> tuple[Target, ...]:
    client = app.aws.ec2(region)
    instances, volumes = together(lambda: ec2.get_instances(client, ids), lambda: ec2.find_volumes(client))
    return _joined(instances, volumes)


def _joined(instances: Iterable[Instance], volumes: Iterable[Volume]) -> tuple[Target, ...]:
    listed = list(volumes)
    return tuple(Target(i, tuple(v for v in listed if v.instance_id == i.instance_id)) for i in instances)


def _end(app: App, targets: Sequence[Target], keep_ebs: bool) -> list[Ending]:
    """End one region's targets: marked volumes first, in case we die; together, or one by one if EC2 refuses that."""
    client = app.aws.ec2(targets[0].instance.region)
    if keep_ebs:
        for volume in (v for t in targets for v in t.doomed):
            ec2.keep_ebs_volume(client, volume.volume_id)
    try:
        changes = ec2.terminate_instances(client, [t.instance.instance_id for t in targets])
    except BootstrapError as exc:
        if len(targets) == 1:
            return [Ending(targets[0], error=exc)]
        return [ending for t in targets for ending in _end(app, [t], keep_ebs)]
    by_id = {c.instance_id: c for c in changes}
    return [Ending(t, by_id[t.instance.instance_id]) for t in targets]


def _settle_volumes(app: App, ending: Ending, keep_ebs: bool) -> Ending:
    """Delete what goes with the instance, once EC2 has let go of it."""
    target = ending.target
    doomed = () if keep_ebs else target.doomed
    kept = tuple(v.volume_id for v in target.volumes if v not in doomed)
    client = app.aws.ec2(target.instance.region)
    _tell_waiting(doomed)
    deleted: list[str] = []
    try:
        for volume in doomed:
            _delete(client, volume.volume_id)
            deleted.append(volume.volume_id)
    except BootstrapError as exc:
        return Ending(target, ending.change, exc, tuple(deleted), kept)
    return Ending(target, ending.change, None, tuple(deleted), kept)


def _delete(client: Any, volume_id: str) -> None:
    if not ec2.wait_detached(client, volume_id):
        raise BootstrapError(f"{volume_id} did not detach.", code="volume-in-use")
    ec2.delete_ebs_volume(client, volume_id)


def _tell_waiting(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        output.info(f"Waiting for {volume.volume_id} ({volume.size_gb} GB) to detach, then deleting it")


def _termination(ending: Ending, aliases: dict[str, str]) -> Termination:
    assert ending.change
    instance = ending.target.instance
    return Termination(
        instance_id=instance.instance_id,
        previous_state=ending.change.previous_state,
        current_state=ending.change.current_state,
        ssh_alias_removed=aliases.get(instance.instance_id),
        ebs_volumes_deleted=ending.deleted or None,
        ebs_volumes_kept=ending.kept or None,
        region=instance.region,
        availability_zone=instance.availability_zone,
    )


def _partly(problems: Sequence[Ending], report: TerminateReport) -> BootstrapError:
    """The error for targets that failed: exit 1 if all did and nothing else was done, else 3."""
    kind = IncompleteError if report.terminated else BootstrapError
    first = problems[0]
    assert first.error
    names = ", ".join(e.target.instance.instance_id for e in problems)
    error = kind(f"Could not finish {names}: {first.error}", hint=first.error.hint, code=first.error.code)
    reasons = tuple(
        RegionReason(e.target.instance.region, str(e.error), e.target.instance.instance_type) for e in problems
    )
    return error.with_facts(regions=reasons).with_result(report)


def _line(target: Target) -> str:
    i = target.instance
    return f"{i.instance_id}  {i.instance_type}  {i.lifecycle}  {i.state}  {i.public_ip or '-'}  in {i.region}"
