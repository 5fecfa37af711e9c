"""What is told when a launch breaks: what exists, how to go on, how to undo it. One place makes these errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .. import ec2, sshconfig
from ..errors import BootstrapError, IncompleteError, Interrupted, Resource, SshError
from ..ssh import quoted
from . import access
from .data_volume import VOLUME
from .search import INSTANCE

if TYPE_CHECKING:
    from ..config import LaunchConfig
    from .launch import Launch


def incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    """The error for a launch that broke. Exit code 3 (or a signal's) if something that bills exists or may, else the
    cause's.
    """
    try:
        return _incomplete(launch, cause)
    except KeyboardInterrupt as exc:  # while that was looked up; no further signal comes
        return _incomplete(launch, exc)


def _incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    launch.calls.settle()
    ended = _has_ended(launch, cause)
    runs = launch.instance is not None and not ended
    error = _as_error(cause, left_behind=runs or bool(launch.created_volume or _unknown(launch)))
    error.with_facts(resources=_resources(launch, ended), hint=_hints(launch, error, ended))
    return error.with_result(launch.report())


def _unknown(launch: Launch) -> list[str]:
    """What may exist and bill: EC2 could not be asked."""
    return [name for name in (INSTANCE, VOLUME) if name in launch.calls.unknown]


def _has_ended(launch: Launch, cause: BaseException) -> bool:
    """Whether EC2 itself has ended the instance: as the cause says, or, where SSH broke, as EC2 says now."""
    if isinstance(cause, SshError) and launch.instance:
        with contextlib.suppress(BootstrapError):
            now = ec2.get_instances(launch.client, [launch.instance.instance_id])
            return bool(now) and now[0].state in ("shutting-down", "terminated")
    return isinstance(cause, BootstrapError) and cause.code == "instance-ended"


def _as_error(cause: BaseException, *, left_behind: bool) -> BootstrapError:
    if isinstance(cause, KeyboardInterrupt):
        return Interrupted.of(cause)
    kind = IncompleteError if left_behind else BootstrapError
    if not isinstance(cause, BootstrapError):
        return kind(f"Unexpected {type(cause).__name__}: {cause}", code="internal-error")
    if not left_behind:
        return cause
    error = kind(str(cause), hint=cause.hint, code=cause.code)
    error.with_facts(regions=cause.report.regions)
    return error


def _resources(launch: Launch, ended: bool) -> tuple[Resource, ...]:
    found: list[Resource] = []
    if launch.instance and not ended:
        found.append(Resource("instance", launch.instance.instance_id, launch.instance.region, billing=True))
    if launch.created_volume:
        found.append(Resource("volume", launch.created_volume.volume_id, launch.created_volume.region, billing=True))
    found += launch.made_beside
    return tuple(found)


def _hints(launch: Launch, error: BootstrapError, ended: bool) -> str | None:
    """What helps with the cause, then how to look, go on and undo."""
    program, hints = launch.app.access.program, [error.hint, _locked_out(launch, error)]
    unknown = _unknown(launch)
    if unknown:
        hints.append(f"EC2 may have started or created {' and '.join(unknown)}; it could not be asked.")
        hints.append(f"Look:   {program} status --region {launch.where.region}")
    free_of_charge = [name for name in launch.calls.unknown if name not in unknown]
    if free_of_charge:
        names = ", ".join(free_of_charge)
        hints.append(
            f"Whether EC2 made {names} is not known. It costs nothing, and the next launch uses what is there."
        )
    if ended:
        hints += _after_end(launch, error)
    elif launch.instance:
        if launch.alias:
            hints.append(f"Go on:  {program} setup {launch.alias}{setup_options(launch.config)}")
        hints.append(f"Undo:   {program} terminate {launch.instance.instance_id} --region {launch.instance.region}")
    return "\n".join(filter(None, hints)) or None


def _after_end(launch: Launch, error: BootstrapError) -> list[str]:
    """What is told where EC2 has ended the instance: how to launch again, and how to delete what it leaves."""
    hints: list[str] = []
    if error.code != "instance-ended":  # that error says so itself
        hints.append("EC2 has ended the instance. Launch again, perhaps in another --region or of another type.")
    volume = launch.created_volume
    if volume:
        hints.append(f"The data volume {volume.volume_id} ({volume.size_gb} GB) stays, and bills.")
        hints.append(f"Undo, once the volume is free:  {launch.app.access.program} cleanup --include-ebs")
    return hints


def setup_options(config: LaunchConfig) -> str:
    """The options that `setup` needs to do what the launch was asked to, each after a space."""
    words = ["--python-version", config.python_version] if config.python_version else []
    words += ["--setup-script", str(config.setup_script)] if config.setup_script else []
    return "".join(f" {quoted(word)}" for word in words)


def _locked_out(launch: Launch, error: BootstrapError) -> str | None:
    """Whether the SSH port stays shut because this machine's address is not let in."""
    if error.code != "ssh-timeout" or launch.alias is None:
        return None
    host = sshconfig.find(sshconfig.read(launch.app.paths.ssh_config), launch.alias)
    return access.locked_out(launch.app, host) if host else None
