"""What is told when a launch breaks: what exists, how to go on, how to undo it. One place makes these errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .. import ec2, output, sshconfig
from ..errors import BootstrapError, IncompleteError, Interrupted, Resource, SshError
from ..retry import poll
from ..ssh import quoted
from . import access

if TYPE_CHECKING:
    from ..config import LaunchConfig
    from .launch import Launch

LOOKUP_SECONDS = 12.0
"""For how long an unanswered RunInstances is looked up: it may take effect, and show, seconds after the call broke."""


def incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    """The error for a launch that broke: exit code 3 (or a signal's) if an instance exists or may, else the cause's."""
    unknown = launch.instance is None and launch.client_token is not None and not _look_for_instance(launch)
    ended = _has_ended(launch, cause)
    error = _as_error(cause, left_behind=unknown or (launch.instance is not None and not ended))
    error.with_facts(resources=_resources(launch, ended), hint=_hints(launch, error, ended, unknown))
    return error.with_result(launch.report())


def _look_for_instance(launch: Launch) -> bool:
    """Whether it is known by now what an unanswered RunInstances did: its client token finds what it started."""
    asked_in_vain: list[BootstrapError] = []

    def look() -> bool | None:
        try:
            launch.instance = ec2.find_by_token(launch.client, launch.client_token or "")
        except BootstrapError as exc:
            asked_in_vain.append(exc)
            return None
        asked_in_vain.clear()
        return True if launch.instance else None

    _tell_look()
    poll(look, timeout=LOOKUP_SECONDS, every=1.0)
    return not asked_in_vain


def _tell_look() -> None:
    output.info("Looking whether EC2 has started an instance")


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
    idle = tuple(Resource(kind, name, region, billing=False) for kind, name, region in launch.made)
    if launch.instance is None or ended:
        return (*_volume(launch), *idle)
    instance = Resource("instance", launch.instance.instance_id, launch.instance.region, billing=True)
    return (instance, *_volume(launch), *idle)


def _volume(launch: Launch) -> tuple[Resource, ...]:
    """The data volume, if this launch made it: the user's own was there before."""
    if launch.volume is None or launch.plan.volume:
        return ()
    return (Resource("volume", launch.volume.volume_id, launch.volume.region, billing=True),)


def _hints(launch: Launch, error: BootstrapError, ended: bool, unknown: bool) -> str | None:
    program, hints = launch.app.access.program, [error.hint, _locked_out(launch, error)]
    if unknown:
        hints.append("EC2 may have started an instance; it could not be asked.")
        hints.append(f"Look:   {program} status --region {launch.where.region}")
    if ended:
        hints.append("EC2 has ended the instance. Launch again, perhaps in another --region or of another type.")
    elif launch.instance:
        if launch.alias:
            hints.append(f"Go on:  {program} setup {launch.alias}{setup_options(launch.config)}")
        hints.append(f"Undo:   {program} terminate {launch.instance.instance_id} --region {launch.instance.region}")
    return "\n".join(filter(None, hints)) or None


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
