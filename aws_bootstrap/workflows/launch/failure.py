"""The error of a broken launch: it lists what exists, how to continue and how to undo it."""

from __future__ import annotations

import contextlib

from ... import ec2, sshconfig
from ...errors import BootstrapError, IncompleteError, Interrupted, SshError
from ...invocation import PROGRAM
from ...models import Resource, Volume
from ...outcomes import check_hint, continue_hint, delete_volume_command, undo_hint
from ..unreachable import timeout_hint
from .cluster_report import cluster_report
from .report import report, setup_options
from .state import INSTANCE, VOLUME, Launch


def launch_error(launch: Launch, cause: BaseException) -> BootstrapError:
    """Return the error for a launch that this cause ended.

    Its exit code is 3 if something that bills exists or may exist, that of the signal after an interrupt, and
    otherwise the cause's.
    """
    try:
        return _settled_error(launch, cause)
    except KeyboardInterrupt as exc:  # a signal during the lookup; further signals are ignored
        return _settled_error(launch, exc)


def _settled_error(launch: Launch, cause: BaseException) -> BootstrapError:
    """Look up the calls that have not answered, and return the error with what exists, its hints and the report."""
    launch.calls.settle()
    ended = _ended(launch, cause)
    resources = _resources(launch, ended)
    bills = any(resource.billing for resource in resources) or bool(_unknown_billable(launch))
    error = _to_error(cause, left_behind=bills)
    error.add_details(resources=resources, hint=_hints(launch, error, ended))
    if launch.plan.cluster:
        return error.attach_result(cluster_report(launch))
    return error.attach_result(report(launch))


def _unknown_billable(launch: Launch) -> list[str]:
    """Return the names of what may exist and bill, because its call did not answer and its lookup failed."""
    return [name for name in launch.calls.unknown if name.startswith((INSTANCE, VOLUME))]


def _ended(launch: Launch, cause: BaseException) -> set[str]:
    """Return the ids of instances that have ended: EC2 is queried where the cause may be that one has."""
    ids = [node.instance_id for node in launch.nodes if node.instance]
    has_ended = isinstance(cause, BootstrapError) and cause.code == "instance-ended"
    if len(ids) == 1 and has_ended:
        return set(ids)
    if ids and (has_ended or isinstance(cause, SshError)):
        with contextlib.suppress(BootstrapError):
            current = ec2.get_instances(launch.client, ids)
            return {instance.instance_id for instance in current if instance.state in ec2.ENDED}
    return set()


def _to_error(cause: BaseException, *, left_behind: bool) -> BootstrapError:
    """Return the cause as a BootstrapError whose exit code shows whether something that bills is left behind."""
    if isinstance(cause, KeyboardInterrupt):
        return Interrupted.of(cause)
    error_type = BootstrapError
    if left_behind:
        error_type = IncompleteError
    if not isinstance(cause, BootstrapError):
        return error_type(f"Unexpected {type(cause).__name__}: {cause}", code="internal-error")
    if not left_behind:
        return cause
    error = error_type(str(cause), hint=cause.hint, code=cause.code)
    error.add_details(regions=cause.report.regions)
    return error


def _resources(launch: Launch, ended: set[str]) -> tuple[Resource, ...]:
    """Return what this launch created and still exists: first what bills."""
    found: list[Resource] = []
    for node in launch.to_start:
        if node.instance and node.instance_id not in ended:
            found.append(Resource("instance", node.instance_id, node.instance.region, billing=True))
    for node in launch.nodes:
        volume = launch.created_volume(node)
        if volume:
            found.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    return (*found, *launch.other_resources)


def _hints(launch: Launch, error: BootstrapError, ended: set[str]) -> str | None:
    """Return the hints: first those of the cause, then how to check, continue and undo."""
    hints = [error.hint, _zone_hint(launch, error), _timeout_hint(launch, error), *_unknown_hints(launch)]
    if launch.plan.cluster:
        hints += _cluster_hints(launch, error)
    elif ended:
        hints += _hints_after_termination(launch, error)
    else:
        hints += _continue_hints(launch)
    return "\n".join(filter(None, hints)) or None


def _zone_hint(launch: Launch, error: BootstrapError) -> str | None:
    """Return how the data of an existing volume comes to a zone that has capacity, where its own has none."""
    volume = launch.plan.volume
    if volume is None or error.code != "no-capacity":
        return None
    return (
        f"{volume.volume_id} is in {volume.availability_zone}. Copy its data to another zone: "
        f"{PROGRAM} volume snapshot {volume.volume_id}\nThen: {PROGRAM} volume restore SNAPSHOT --zone ZONE"
    )


def _unknown_hints(launch: Launch) -> list[str]:
    """Return the hints about the calls whose outcome is unknown."""
    hints: list[str] = []
    billable = _unknown_billable(launch)
    if billable:
        hints.append(f"EC2 may have created {' and '.join(billable)}, but looking that up failed.")
        hints.append(check_hint(launch.region_plan.region))
    free_of_charge = [name for name in launch.calls.unknown if name not in billable]
    if free_of_charge:
        names = ", ".join(free_of_charge)
        hints.append(f"EC2 may have created {names}. This is free of charge, and the next launch uses what exists.")
    return hints


def _cluster_hints(launch: Launch, error: BootstrapError) -> list[str]:
    """Return the commands that continue and undo the launch of a cluster.

    The same command starts what is missing, and goes on with what exists.
    """
    cluster = launch.cluster
    hints: list[str] = []
    if error.code == "no-capacity":
        if cluster.size > 1:
            hints.append("Accept fewer nodes: --min-nodes NUMBER")
        if cluster.in_placement_group:
            hints.append("Accept nodes that are far from each other: --no-placement-group")
    if any(node.instance for node in launch.nodes) or _unknown_billable(launch):
        again = f"{PROGRAM} cluster launch --cluster-id {cluster.cluster_id} --nodes {cluster.size}"
        hints.append(f"Continue: {again} --region {launch.region_plan.region}")
    if any(node.instance for node in launch.nodes) or launch.other_resources or _unknown_billable(launch):
        undo = f"{PROGRAM} cluster terminate {cluster.cluster_id}"
        hints.append(f"Undo: {undo} --region {launch.region_plan.region}")
    return hints


def _continue_hints(launch: Launch) -> list[str]:
    """Return the commands that continue and undo the launch; none without an instance."""
    node = launch.node
    if node.instance is None:
        return []
    hints: list[str] = []
    if node.alias:
        hints.append(continue_hint(node.alias, setup_options(launch, node)))
    hints.append(undo_hint(node.instance_id, node.instance.region))
    return hints


def _hints_after_termination(launch: Launch, error: BootstrapError) -> list[str]:
    """Return how to launch again after the instance was terminated, and how to delete its data volume."""
    hints: list[str] = []
    if error.code != "instance-ended":  # the message of that error says it already
        terminated = f"The instance {launch.node.instance_id} was terminated."
        hints.append(f"{terminated} Launch again, or try another --region or --instance-type.")
    volume = launch.created_volume(launch.node)
    if volume:
        hints.append(f"The data volume {volume.volume_id} ({volume.size_gb} GB) still exists and is billed.")
        hints.append(f"Undo, once the volume is detached: {_deletion_command(launch, volume)}")
    return hints


def _deletion_command(launch: Launch, volume: Volume) -> str:
    """Return the command that deletes the data volume. `cleanup` deletes only volumes whose owner is the caller."""
    if launch.plan.owner is None:
        return delete_volume_command(volume.volume_id, volume.region)
    return f"{PROGRAM} cleanup --include-ebs"


def _timeout_hint(launch: Launch, error: BootstrapError) -> str | None:
    """Return what blocks SSH, if it timed out."""
    alias = launch.node.alias
    if error.code != "ssh-timeout" or alias is None:
        return None
    host = sshconfig.find(sshconfig.read(launch.app.paths.ssh_config), alias)
    if host is None:
        return None
    return timeout_hint(launch.app, host)
