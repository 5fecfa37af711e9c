"""From the names that a user types, aliases and instance ids, to where those boxes are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .. import sshconfig
from ..errors import BootstrapError
from ..models import RegionFailure, unread_regions

if TYPE_CHECKING:
    from ..app import App


def located(app: App, names: Sequence[str], regions: Sequence[str] = ()) -> dict[str, list[str]]:
    """Instance ids by the region to look in: where the SSH block says, else those given, else everywhere."""
    config_text = sshconfig.read(app.paths.ssh_config)
    wanted: dict[str, list[str]] = {}
    anywhere: list[str] = []
    for name in names:
        host = sshconfig.find(config_text, name)
        if host is None and not name.startswith("i-"):
            raise BootstrapError(
                f"No box of ours is called {name}.", hint="See them with: aws-bootstrap status", code="not-found"
            )
        instance_id = host.instance_id if host else name
        if host and host.region:
            wanted.setdefault(host.region, []).append(instance_id)
        else:
            anywhere.append(instance_id)
    for where in (regions or app.aws.regions()) if anywhere else ():
        wanted.setdefault(where, []).extend(anywhere)
    return wanted


def check_all_found(
    wanted: Mapping[str, Iterable[str]], found: Iterable[str], failed: tuple[RegionFailure, ...]
) -> None:
    """Raise unless every instance looked for was found: nothing is done on the strength of a partial view."""
    missing = {i for ids in wanted.values() for i in ids} - set(found)
    if missing and failed:
        problem = unread_regions(failed)
        assert problem
        raise BootstrapError(str(problem), hint=problem.hint, code=problem.code)
    if missing:
        raise BootstrapError(
            f"Not found, or not made by aws-bootstrap: {', '.join(sorted(missing))}.",
            hint="See yours with: aws-bootstrap status\nForget aliases of boxes that are gone: aws-bootstrap cleanup",
            code="not-found",
        )


def aliases(app: App) -> list[str]:
    """The aliases in the SSH config, in order; none if it cannot be read: shell completion has nobody to tell."""
    try:
        found = (host.alias for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config)))
        return sorted(found, key=lambda alias: (len(alias), alias))
    except BootstrapError:
        return []
