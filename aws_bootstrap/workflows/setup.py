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


def apply(app: App, name: str, *, python_version: str | None = None, script: Path | None = None) -> SetupReport:
    """How it went. BootstrapError `not-found` where no alias of ours leads to the box."""
    contents = remote.read_script(script)
    host = sshconfig.find(sshconfig.read(app.paths.ssh_config), name)
    if host is None:
        raise BootstrapError(
            f"No box of ours is called {name} in {app.paths.ssh_config}.",
            hint="See them with: aws-bootstrap status",
            code="not-found",
        )
    ssh_options.ensure_effective(app, host)
    with explained_timeout(app, host):
        outcome = remote.set_up(app.ssh, host.alias, python_version=python_version, script=contents)
    volume, error = _mount(app, host)
    return SetupReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        setup=outcome.setup,
        setup_failed_step=outcome.failed_step,
        cuda_version=outcome.cuda_version,
        ebs_volume=data_volume.in_report(volume, mounted=error is None),
        volume_error=str(error) if error else None,
        access=app.access,
        setup_message=outcome.message,
    )


def _mount(app: App, host: sshconfig.Host) -> tuple[Volume | None, BootstrapError | None]:
    """The box's data volume, mounted if it has one, and what kept us from mounting it."""
    volume = None
    try:
        volume = data_volume.find_for(app.aws.ec2(host.region or app.aws.region), host.instance_id)
        if volume:
            data_volume.mount_volume(app.ssh, host.alias, volume)
    except BootstrapError as exc:
        return volume, exc
    return volume, None
