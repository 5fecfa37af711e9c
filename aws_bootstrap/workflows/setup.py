"""Run the remote setup of a box again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import known_hosts, output, sshconfig
from ..config import LaunchConfig
from ..errors import BootstrapError, Interrupted, SshError
from ..invocation import PROGRAM
from ..models import SetupReport, Volume
from ..ssh import VolumeUnformatted
from ..sshconfig import Host
from . import data_volume, provision, ssh_options
from .hosts import read_hosts
from .inventory import managed_hosts, select_one
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App


def find_host(app: App, name: str, config: LaunchConfig) -> Host:
    """Return the host of the box with that alias or id. Changes nothing.

    If the SSH config of this machine has no alias for the box, the host has none yet. Its address is then read from
    EC2, and its key and user are those of `config`.
    BootstrapError `not-found` if there is no such box.
    """
    known = sshconfig.find_in(managed_hosts(app), name)
    if known:
        return known
    box = select_one(app, name, volumes="none")
    if box.host:  # the only node of a cluster
        return box.host
    (host,) = read_hosts(app, [box.instance], config)
    return host


def find_volume(app: App, host: Host) -> Volume:
    """Return the box's data volume. BootstrapError `not-found` if it has none."""
    client = app.aws.ec2(_region(app, host))
    volume = data_volume.find_for(client, host.instance_id)
    if volume is None:
        raise BootstrapError(
            f"{host.alias or host.instance_id} has no data volume.",
            hint=f"List boxes with their volumes: {PROGRAM} status",
            code="not-found",
        )
    return volume


def declined(app: App, host: Host) -> SetupReport:
    """Return the report of a setup that the user declined."""
    return SetupReport(
        host.instance_id,
        host.alias or None,
        "skipped",
        region=_region(app, host),
        declined=True,
    )


def apply(app: App, host: Host, config: LaunchConfig, *, to_format: Volume | None = None) -> SetupReport:
    """Set up the box. Return the report.

    `to_format` is the data volume that the user agreed to format if it is empty.
    """
    script = provision.read_script(config.setup_script)
    had_alias = bool(host.alias)
    host = _ensure_alias(app, host)
    try:
        with _attach_report(app, host), hint_on_timeout(app, host), output.working(f"Set up {host.alias}"):
            outcome = provision.set_up(app.ssh, host.alias, python_version=config.python_version, script=script)
    except SshError as exc:
        if exc.code != "ssh-lost" and not had_alias:
            _remove_new_alias(app, host, exc)
        raise
    volume, error = _mount(app, host, to_format)
    volume_error = str(error) if error else None
    volume_hint = error.hint if error else None
    return SetupReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        setup=outcome.setup,
        region=_region(app, host),
        setup_failed_step=outcome.failed_step,
        setup_failed_reason=outcome.message,
        setup_failed_output=outcome.output,
        cuda_version=outcome.cuda_version,
        ebs_volume=data_volume.in_report(volume, mounted=error is None),
        volume_error=volume_error,
        volume_hint=volume_hint,
        volume_unformatted=isinstance(error, VolumeUnformatted),
        setup_options=provision.setup_options(config, box_has_settings=outcome.box_has_settings),
    )


def _region(app: App, host: Host) -> str:
    """Return the box's region. A block that an older version wrote has none: then it is the default region."""
    return host.region or app.aws.region


@contextlib.contextmanager
def _attach_report(app: App, host: Host) -> Iterator[None]:
    """Attach the report of the box to an SSH error or an interrupt raised inside the block."""
    try:
        yield
    except SshError as exc:
        step = "connection" if exc.code == "ssh-lost" else "login"
        raise exc.attach_result(_failed_report(app, host, step)) from exc
    except KeyboardInterrupt as exc:
        raise Interrupted.of(exc).attach_result(_failed_report(app, host, "connection")) from exc


def _failed_report(app: App, host: Host, step: str) -> SetupReport:
    """Return the report of a setup that failed at this step."""
    return SetupReport(
        host.instance_id,
        host.alias or None,
        "failed",
        region=_region(app, host),
        setup_failed_step=step,
    )


def _ensure_alias(app: App, host: Host) -> Host:
    """Return the host with an alias that is effective in the SSH config. BootstrapError if ssh would not use it."""
    if host.alias:
        ssh_options.ensure_effective(app, host)
        return host
    ssh_options.check(app.paths, host)
    alias = sshconfig.add(app.paths.ssh_config, host)
    known_hosts.ensure(app.paths.known_hosts)
    output.info(f"Added the alias {alias} for {host.instance_id}, with the key {host.identity_file}")
    return replace(host, alias=alias)


def _remove_new_alias(app: App, host: Host, error: SshError) -> None:
    """Remove the alias that this command added. No login worked with it, and the next setup would use it again."""
    sshconfig.remove(app.paths.ssh_config, [host.instance_id])
    known_hosts.forget(app.paths.known_hosts, [host.instance_id])
    hint = f"The alias {host.alias} was removed again."
    if error.code == "ssh-refused":
        again = f"{PROGRAM} setup {host.instance_id} --key-path PATH.pub"
        hint = f"{hint} If the box accepts another key, name that key: {again}"
    error.add_details(hint="\n".join(filter(None, [error.hint, hint])))
    error.attach_result(_failed_report(app, replace(host, alias=""), "login"))


def _mount(app: App, host: Host, to_format: Volume | None) -> tuple[Volume | None, BootstrapError | None]:
    """Mount the box's data volume, if it has one. Return it, with the error if it could not be mounted.

    A box may have several, so a volume that is formatted must be the one that the user confirmed.
    """
    client = app.aws.ec2(_region(app, host))
    volume = to_format
    try:
        if volume is None:
            volume = data_volume.find_for(client, host.instance_id)
        if volume:
            data_volume.attach_if_available(client, volume, host.instance_id)
            data_volume.mount_volume(app, host.alias, volume, format_volume=to_format is not None)
    except BootstrapError as exc:
        return volume, exc
    return volume, None
