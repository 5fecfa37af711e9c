"""What is told when a launch breaks: what exists, how to go on, how to undo it. One place makes these errors."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

from .. import aws, ec2
from ..errors import BootstrapError, IncompleteError, Interrupted, Resource, Terminated

if TYPE_CHECKING:
    from .launch import Launch


def incomplete(launch: Launch, cause: BaseException) -> BootstrapError:
    """The error for a launch that broke: exit code 3 (or a signal's) if an instance exists, else the cause's own."""
    if launch.instance is None and launch.client_token:
        _look_for_instance(launch)
    ended = isinstance(cause, BootstrapError) and cause.code == "instance-ended"
    error = _as_error(cause, left_behind=launch.instance is not None and not ended)
    error.with_facts(resources=_resources(launch, ended), hint=_hints(launch, error, ended))
    return error.with_result(launch.report())


def _look_for_instance(launch: Launch) -> None:
    """An answer that never came may still have started an instance: its client token tells."""
    with contextlib.suppress(BootstrapError):
        launch.instance = ec2.find_by_token(launch.client, launch.client_token or "")


def _as_error(cause: BaseException, *, left_behind: bool) -> BootstrapError:
    if isinstance(cause, KeyboardInterrupt):
        return Interrupted(15 if isinstance(cause, Terminated) else 2)
    if not isinstance(cause, BootstrapError):
        return IncompleteError(f"Unexpected {type(cause).__name__}: {cause}", code="internal-error")
    if not left_behind:
        return cause
    error = IncompleteError(str(cause), hint=cause.hint, code=cause.code)
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


def _hints(launch: Launch, error: BootstrapError, ended: bool) -> str | None:
    hints = [error.hint, _locked_out(launch, error)]
    if launch.instance and not ended:
        program, instance = launch.app.access.program, launch.instance
        if launch.alias:
            hints.append(f"Go on:  {program} setup {launch.alias}")
        hints.append(f"Undo:   {program} terminate {instance.instance_id} --region {instance.region}")
    return "\n".join(filter(None, hints)) or None


def _locked_out(launch: Launch, error: BootstrapError) -> str | None:
    """Whether the SSH port stays shut because this machine's address has changed since the plan."""
    if error.code != "ssh-timeout":
        return None
    config, vpc_id = launch.config, launch.where.network.vpc_id
    with contextlib.suppress(BootstrapError):
        address = str(ipaddress.ip_network(aws.my_address()))
        group = ec2.group_in(ec2.find_security_groups(launch.client, config.security_group), vpc_id)
        if ec2.missing_cidrs(group, config.ssh_port, (address,)):
            return f"Your address {address} is not among those that the security group lets in."
    return None
