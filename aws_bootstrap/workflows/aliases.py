"""The aliases of our boxes, from the SSH config alone: shell completion loads this and nothing that knows AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import sshconfig
from ..errors import BootstrapError

if TYPE_CHECKING:
    from ..app import App


def aliases(app: App) -> list[str]:
    """Return the aliases in order; none if the SSH config cannot be read, since completion has nobody to tell."""
    try:
        hosts = sshconfig.hosts(sshconfig.read(app.paths.ssh_config))
    except BootstrapError:
        return []
    found: list[str] = []
    for host in hosts:
        found.append(host.alias)
    return sorted(found, key=alias_order)


def alias_order(alias: str) -> tuple[int, str]:
    """Return what to sort aliases by: aws-gpu2 comes before aws-gpu10."""
    return len(alias), alias
