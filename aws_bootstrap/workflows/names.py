"""What a typed name means: the alias of a box, its instance id, or the id of a cluster, which means all its nodes.

The SSH config of this machine has the aliases, and says which of them are those of nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .. import ec2, sshconfig
from ..errors import BootstrapError, UsageError
from ..invocation import PROGRAM
from ..models import Instance
from ..sshconfig import Host
from .aliases import alias_order, did_you_mean

if TYPE_CHECKING:
    from ..app import App


def named_hosts(hosts: Sequence[Host], name: str) -> list[Host]:
    """Return the hosts that the name means: of a box, or of the nodes of a cluster by rank; none without one."""
    host = sshconfig.find_in(hosts, name)
    if host:
        return [host]
    return sorted((host for host in hosts if host.cluster == name), key=_host_order)


def _host_order(host: Host) -> tuple[int, tuple[int, str]]:
    """Return what to sort nodes by."""
    return host.rank or 0, alias_order(host.alias)


class NamedBox(NamedTuple):
    """A box that was named, where it is and how ssh reaches it; None where that is unknown."""

    instance_id: str
    #: What to call it in an error: what was typed, of a node its alias.
    typed: str
    region: str | None = None
    host: Host | None = None


def named_boxes(app: App, hosts: Sequence[Host], name: str) -> list[NamedBox]:
    """Return the boxes that the name means: of a cluster its living nodes, as EC2 knows them.

    BootstrapError `not-found` for a name that means none; an id without a host may mean one.
    """
    found = named_hosts(hosts, name)
    if not found and name.startswith("i-"):
        return [NamedBox(name, name)]
    if not found:
        raise not_found([name], hosts)
    if name in (found[0].alias, found[0].instance_id):
        return [NamedBox(found[0].instance_id, name, found[0].region, found[0])]
    nodes = _living_nodes(app, found)
    if not nodes:
        raise _all_ended(name)
    boxes: list[NamedBox] = []
    for node in nodes:
        host = sshconfig.find_in(hosts, node.instance_id)
        called = host.alias if host else node.instance_id
        boxes.append(NamedBox(node.instance_id, called, node.region, host))
    return boxes


def _living_nodes(app: App, hosts: Sequence[Host]) -> list[Instance]:
    """Return the nodes of the cluster of these hosts that have not ended, by rank.

    This machine may have no alias for some. Where two people have a cluster of that id, they are those of the owner
    whose nodes these hosts are.
    """
    found: list[Instance] = []
    for region in dict.fromkeys(host.region for host in hosts):
        client = app.aws.ec2(region or app.aws.region)
        found += ec2.find_cluster(client, str(hosts[0].cluster))
    known_ids = {host.instance_id for host in hosts}
    owners = {instance.owner for instance in found if instance.instance_id in known_ids}
    return [instance for instance in found if instance.owner in owners and instance.state not in ec2.ENDED]


def not_found(names: Sequence[str], hosts: Iterable[Host] = ()) -> BootstrapError:
    """Return the error for names that no box has. It names the alias of these hosts that is most like them."""
    return BootstrapError(
        f"No box named {', '.join(names)}.{did_you_mean(names[0], hosts)}",
        hint=f"List your boxes: {PROGRAM} status\nRemove aliases without a box: {PROGRAM} cleanup",
        code="not-found",
    )


def _all_ended(cluster_id: str) -> BootstrapError:
    """Return the error for a cluster of which this machine knows nodes alone that have ended."""
    return BootstrapError(
        f"The nodes of the cluster {cluster_id} have ended.",
        hint=f"Remove what is left of it: {PROGRAM} cluster terminate {cluster_id}\n"
        f"Remove the aliases: {PROGRAM} cleanup",
        code="not-found",
    )


def several_nodes(cluster_id: str, names: Iterable[str]) -> UsageError:
    """Return the error for the id of a cluster where one box is needed."""
    return UsageError(
        f"{cluster_id} is a cluster: {', '.join(names)}. Name one of its nodes.",
        hint=f"Show them: {PROGRAM} cluster status --cluster-id {cluster_id}",
    )
