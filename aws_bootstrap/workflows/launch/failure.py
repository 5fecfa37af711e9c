"""What is reported when a launch breaks: what exists, how to go on, how to undo it. One place makes these errors."""

from __future__ import annotations

import contextlib

from ... import ec2, sshconfig
from ...errors import BootstrapError, IncompleteError, Interrupted, SshError
from ...invocation import PROGRAM
from ...models import Resource
from .. import access
from .report import report, setup_options
from .state import INSTANCE, VOLUME, Launch, Node


def incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    """Return the error for a launch that broke.

    Its exit code is 3 (or a signal's) if something that bills exists or may exist, else the cause's.
    """
    try:
        return _incomplete(launch, cause)
    except KeyboardInterrupt as exc:  # while that was looked up; no further signal comes
        return _incomplete(launch, exc)


def _incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    launch.calls.settle()
    node = launch.node
    ended = _has_ended(launch, node, cause)
    still_runs = node.instance is not None and not ended
    bills = still_runs or launch.created_volume(node) is not None or bool(_unknown(launch))
    error = _as_error(cause, left_behind=bills)
    error.with_facts(resources=_resources(launch, ended), hint=_hints(launch, error, ended))
    return error.with_result(report(launch))


def _unknown(launch: Launch) -> list[str]:
    """Return what may exist and bill: EC2 could not be asked."""
    return [name for name in (INSTANCE, VOLUME) if name in launch.calls.unknown]


def _has_ended(launch: Launch, node: Node, cause: BaseException) -> bool:
    """Return whether EC2 itself has ended the instance: as the cause says, or, where SSH broke, as EC2 says now."""
    if isinstance(cause, SshError) and node.instance:
        with contextlib.suppress(BootstrapError):
            now = ec2.get_instances(launch.client, [node.instance_id])
            return bool(now) and now[0].state in ec2.ENDED
    return isinstance(cause, BootstrapError) and cause.code == "instance-ended"


def _as_error(cause: BaseException, *, left_behind: bool) -> BootstrapError:
    """Return the cause as an error of ours, with the exit code that says whether something was left behind."""
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
    error.with_facts(regions=cause.report.regions)
    return error


def _resources(launch: Launch, ended: bool) -> tuple[Resource, ...]:
    """Return what exists because of this launch: first what bills."""
    found: list[Resource] = []
    node = launch.node
    if node.instance and not ended:
        found.append(Resource("instance", node.instance_id, node.instance.region, billing=True))
    volume = launch.created_volume(node)
    if volume:
        found.append(Resource("volume", volume.volume_id, volume.region, billing=True))
    return (*found, *launch.made_beside)


def _hints(launch: Launch, error: BootstrapError, ended: bool) -> str | None:
    """Return what helps with the cause, then how to look, go on and undo."""
    hints = [error.hint, _locked_out(launch, error), *_about_unknown(launch)]
    if ended:
        hints += _after_end(launch, error)
    else:
        hints += _ways_on(launch)
    return "\n".join(filter(None, hints)) or None


def _about_unknown(launch: Launch) -> list[str]:
    """Return the hints about calls whose outcome is not known."""
    hints: list[str] = []
    unknown = _unknown(launch)
    if unknown:
        hints.append(f"EC2 may have started or created {' and '.join(unknown)}; it could not be asked.")
        hints.append(f"Look:   {PROGRAM} status --region {launch.region_plan.region}")
    free_of_charge = [name for name in launch.calls.unknown if name not in unknown]
    if free_of_charge:
        names = ", ".join(free_of_charge)
        hints.append(
            f"Whether EC2 made {names} is not known. It costs nothing, and the next launch uses what is there."
        )
    return hints


def _ways_on(launch: Launch) -> list[str]:
    """Return how to go on with the box and how to undo it; nothing where there is none."""
    node = launch.node
    if node.instance is None:
        return []
    hints: list[str] = []
    if node.alias:
        hints.append(f"Go on:  {PROGRAM} setup {node.alias}{setup_options(launch, node)}")
    hints.append(f"Undo:   {PROGRAM} terminate {node.instance_id} --region {node.instance.region}")
    return hints


def _after_end(launch: Launch, error: BootstrapError) -> list[str]:
    """Return the hints where EC2 has ended the instance: how to launch again, and how to delete what it leaves."""
    hints: list[str] = []
    if error.code != "instance-ended":  # that error says so itself
        hints.append("EC2 has ended the instance. Launch again, perhaps in another --region or of another type.")
    volume = launch.created_volume(launch.node)
    if volume:
        hints.append(f"The data volume {volume.volume_id} ({volume.size_gb} GB) stays, and bills.")
        hints.append(f"Undo, once the volume is free:  {PROGRAM} cleanup --include-ebs")
    return hints


def _locked_out(launch: Launch, error: BootstrapError) -> str | None:
    """Return a sentence where the SSH port stays shut because no rule allows this machine's address."""
    alias = launch.node.alias
    if error.code != "ssh-timeout" or alias is None:
        return None
    host = sshconfig.find(sshconfig.read(launch.app.paths.ssh_config), alias)
    if host is None:
        return None
    return access.blocked_address_hint(launch.app, host)
