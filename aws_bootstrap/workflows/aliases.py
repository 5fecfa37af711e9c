"""List the aliases of boxes from the SSH config alone. Shell completion loads this module, which needs no AWS code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import sshconfig
from ..errors import BootstrapError

if TYPE_CHECKING:
    from ..app import App
    from ..sshconfig import Host


def aliases(app: App) -> list[str]:
    """Return the aliases in order; none if the SSH config cannot be read, since completion cannot report an error."""
    found = [host.alias for host in _hosts(app)]
    return sorted(found, key=alias_order)


def cluster_ids(app: App) -> list[str]:
    """Return the ids of the clusters that the SSH config has nodes of."""
    found = {host.cluster for host in _hosts(app) if host.cluster}
    return sorted(found)


def _hosts(app: App) -> list[Host]:
    try:
        return sshconfig.hosts(sshconfig.read(app.paths.ssh_config_name))
    except BootstrapError:
        return []


def alias_order(alias: str) -> tuple[int, str]:
    """Return the sort key of an alias: aws-gpu2 comes before aws-gpu10."""
    return len(alias), alias


def did_you_mean(name: str, hosts: Iterable[Host]) -> str:
    """Return the question whether the alias of these hosts was meant that is most like the name, after a space.

    Empty where none is like it.
    """
    from difflib import get_close_matches

    for alias in get_close_matches(name, [host.alias for host in hosts], n=1):
        return f" Did you mean {alias}?"
    return ""
