"""Run the remote setup of a box again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import sshconfig
from ..errors import BootstrapError
from ..models import SetupReport, Volume
from . import data_volume, remote, ssh_options
from .access import explained_timeout

if TYPE_CHECKING:
    from ..app import App


def find_host(app: App, name: str) -> sshconfig.Host:
    """The box of that alias or id. BootstrapError `not-found` where no alias of ours leads to one."""
    host = sshconfig.find(sshconfig.read(app.paths.ssh_config), name)
    if host is None:
        raise BootstrapError(
            f"No box of ours is called {name} in {app.paths.ssh_config}.",
            hint="See them with: aws-bootstrap status",
            code="not-found",
        )
    return host


def find_volume(app: App, host: sshconfig.Host) -> Volume:
    """The box's data volume. BootstrapError `not-found` where it has none."""
    volume = data_volume.find_for(app.aws.ec2(host.region or app.aws.region), host.instance_id)
    if volume is None:
        raise BootstrapError(
            f"{host.alias} has no data volume.", hint="See what it has with: aws-bootstrap status", code="not-found"
        )
    return volume


def question(host: sshconfig.Host, volume: Volume) -> str:
    """What the user is asked to agree to before the box's data volume is formatted."""
    return (
        f"Format {volume.volume_id}, {volume.size_gb} GB, the data volume of {host.alias}?\n"
        "It is checked first, and is left as it is unless it is empty."
    )


def declined(app: App, host: sshconfig.Host) -> SetupReport:
    """The result where the user did not agree."""
    return SetupReport(host.instance_id, host.alias, "skipped", declined=True, access=app.access)


def apply(
    app: App,
    host: sshconfig.Host,
    *,
    python_version: str | None = None,
    script: Path | None = None,
    to_format: Volume | None = None,
) -> SetupReport:
    """How it went. `to_format`: the data volume that the user has agreed to have formatted, if it is empty."""
    contents = remote.read_script(script)
    ssh_options.ensure_effective(app, host)
    with explained_timeout(app, host):
        outcome = remote.set_up(app.ssh, host.alias, python_version=python_version, script=contents)
    volume, error = _mount(app, host, to_format)
    return SetupReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        setup=outcome.setup,
        setup_failed_step=outcome.failed_step,
        cuda_version=outcome.cuda_version,
        ebs_volume=data_volume.in_report(volume, mounted=error is None),
        volume_error=str(error) if error else None,
        volume_hint=error.hint if error else None,
        access=app.access,
        setup_message=outcome.message,
    )


def _mount(app: App, host: sshconfig.Host, to_format: Volume | None) -> tuple[Volume | None, BootstrapError | None]:
    """The box's data volume, mounted if it has one, and what kept us from mounting it.

    A box may have several: the one that is formatted must be the one that the user was asked about.
    """
    client = app.aws.ec2(host.region or app.aws.region)
    volume = to_format
    try:
        if volume is None:
            volume = data_volume.find_for(client, host.instance_id)
        if volume:
            data_volume.attach_free(client, volume, host.instance_id)
            data_volume.mount_volume(app, host.alias, volume, format_volume=to_format is not None)
    except BootstrapError as exc:
        return volume, exc
    return volume, None
