"""Run the remote setup of a box again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import sshconfig
from ..errors import BootstrapError
from ..models import SetupReport
from . import remote

if TYPE_CHECKING:
    from ..app import App


def apply(app: App, name: str) -> SetupReport:
    """How it went. BootstrapError `not-found` where no alias of ours leads to the box."""
    host = sshconfig.find(sshconfig.read(app.paths.ssh_config), name)
    if host is None:
        raise BootstrapError(
            f"No box of ours is called {name} in {app.paths.ssh_config}.",
            hint="See them with: aws-bootstrap status",
            code="not-found",
        )
    outcome = remote.set_up(app.ssh, host.alias)
    return SetupReport(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        setup=outcome.setup,
        setup_failed_step=outcome.failed_step,
        cuda_version=outcome.cuda_version,
        access=app.access,
    )
