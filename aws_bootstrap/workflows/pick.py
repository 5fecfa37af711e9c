"""Pick the box that a command of the day is about: the one that is named, else the only one that runs.

A name is looked up in the SSH config of this machine alone, so that `ssh ALIAS` costs no call to AWS. Without a name
all regions are read, since an alias may outlive its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import output
from ..errors import BootstrapError, UsageError
from ..invocation import PROGRAM
from ..models import RegionFailure
from ..outcomes import unread_regions
from ..parallel import gather
from ..sshconfig import Host
from .aliases import alias_order
from .box import Box
from .inventory import managed_hosts, read
from .names import named_hosts, not_found, several_nodes
from .owners import find_owner

if TYPE_CHECKING:
    from ..app import App


def host(app: App, name: str | None) -> Host:
    """Return how ssh reaches the box of that alias or id; without a name that of the caller's only running box.

    Where several run, or a cluster has several nodes, a person chooses at the terminal. BootstrapError `not-found`
    where no box has the name or none runs, `no-alias` where this machine has no alias for it; UsageError where several
    are meant and nobody can choose.
    """
    if name:
        return _one_of(app, name, _named(app, name))
    box = _only_box(app)
    if box.host is None:
        raise no_alias(box.instance_id)
    return box.host


def hosts(app: App, names: Sequence[str]) -> list[Host]:
    """Return how ssh reaches the boxes of these names, each once: all nodes of a cluster. Errors as those of `host`."""
    found: dict[str, Host] = {}
    for name in names:
        for named in _named(app, name):
            found.setdefault(named.instance_id, named)
    return list(found.values())


def _named(app: App, name: str) -> list[Host]:
    """Return the host of that alias or instance id; of a cluster those of its nodes, as this machine knows them."""
    known = managed_hosts(app)
    found = named_hosts(known, name)
    if found:
        return found
    if name.startswith("i-"):
        raise no_alias(name)
    raise not_found([name], known)


def _one_of(app: App, name: str, hosts: Sequence[Host]) -> Host:
    """Return the only one of these hosts; of the nodes of a cluster the one that a person chooses."""
    if len(hosts) == 1:
        return hosts[0]
    aliases = [host.alias for host in hosts]
    chosen = app.choose("Which node?", aliases)
    if chosen is None:
        raise several_nodes(name, aliases)
    return hosts[chosen]


def without_command(app: App, words: Sequence[str]) -> int | None:
    """Return how many of the words are boxes, if a command follows them whose `--` was forgotten; None if none does."""
    known = managed_hosts(app)
    for number, word in enumerate(words):
        if number and not named_hosts(known, word):
            return number
    return None


def _only_box(app: App) -> Box:
    """Return the caller's box that runs; of several the one that a person chooses."""
    running, failed = running_boxes(app)
    unread = unread_regions(failed)
    if not running:
        raise unread or BootstrapError(
            "No box of yours is running.",
            hint=f"Launch one: {PROGRAM} launch\nShow all boxes: {PROGRAM} status",
            code="not-found",
        )
    if unread:
        output.warn(str(unread), code=unread.code)
    if len(running) == 1:
        return running[0]
    chosen = app.choose("Which box?", _labels(running))
    if chosen is None:
        names = ", ".join(box.alias or box.instance_id for box in running)
        raise UsageError(
            f"{len(running)} boxes of yours are running: {names}. Name the one that you mean.",
            hint=f"Show them: {PROGRAM} status",
        )
    return running[chosen]


def running_boxes(app: App) -> tuple[list[Box], Sequence[RegionFailure]]:
    """Return the caller's running boxes by alias, and the regions that could not be read."""
    read_boxes = partial(read, app, volumes="none")
    inventory, owner = gather(read_boxes, partial(find_owner, app))
    running: list[Box] = []
    for box in inventory.boxes:
        is_own = owner is None or box.instance.owner == owner
        if box.instance.state == "running" and is_own:
            running.append(box)
    running.sort(key=_order)
    return running, inventory.failed


def _order(box: Box) -> tuple[int, str]:
    """Return what to sort boxes by."""
    return alias_order(box.alias or box.instance_id)


def _labels(boxes: Sequence[Box]) -> list[str]:
    """Return a line for each box, their columns aligned."""
    names = [box.alias or box.instance_id for box in boxes]
    longest_name = max(len(name) for name in names)
    longest_type = max(len(box.instance.instance_type) for box in boxes)
    labels: list[str] = []
    for name, box in zip(names, boxes, strict=True):
        instance_type = box.instance.instance_type.ljust(longest_type)
        labels.append(f"{name.ljust(longest_name)}  {instance_type}  {box.region}")
    return labels


def running_host(box: Box, done: str) -> Host:
    """Return how ssh reaches a box that must run. BootstrapError if it does not, or has no alias on this machine.

    `done`: what can be done to a running box alone, such as "extended".
    """
    if box.instance.state != "running":
        raise BootstrapError(
            f"{box.alias or box.instance_id} is {box.instance.state}. Only a box that runs can be {done}.",
            hint=f"Show its state: {PROGRAM} status",
            code="instance-stopped",
        )
    if box.host is None:
        raise no_alias(box.instance_id)
    return box.host


def no_alias(instance_id: str) -> BootstrapError:
    """Return the error for a box that this machine has no alias for."""
    return BootstrapError(
        f"{instance_id} has no alias on this machine.",
        hint=f"Add one: {PROGRAM} cleanup --sync",
        code="no-alias",
    )
