"""Which aliases a cleanup removes, updates and adds: what the SSH config and the existing boxes differ in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ec2, sshconfig
from ..config import DEFAULT_USER, LaunchConfig
from ..models import AliasAddress, AliasEntry, Instance
from ..sshconfig import Host
from .hosts import read_hosts
from .inventory import Inventory

if TYPE_CHECKING:
    from ..app import App


def alias_entries(hosts: Iterable[Host]) -> tuple[AliasEntry, ...]:
    """Return what a result says of these hosts."""
    return tuple(AliasEntry(host.instance_id, host.alias, host.region, host.settings) for host in hosts)


def text_without(text: str, stale: Iterable[AliasEntry]) -> str:
    """Return the text of the SSH config without these aliases."""
    for entry in stale:
        text = sshconfig.without_host(text, entry.instance_id)
    return text


def hosts_with_new_address(app: App, inventory: Inventory, config: LaunchConfig) -> list[Host]:
    """Return the hosts whose instance has another address, with that address. Missing options are filled in."""
    boxes = {box.instance_id: box for box in inventory.boxes}
    updated = []
    for host in inventory.hosts:
        box = boxes.get(host.instance_id)
        if box is None or box.instance.public_ip is None or box.instance.public_ip == host.hostname:
            continue
        updated.append(at_address(app, host, box.instance, config))
    return updated


def at_address(app: App, host: Host, instance: Instance, config: LaunchConfig) -> Host:
    """Return the host at the instance's public address, which must exist. Missing options are filled in."""
    return replace(
        host,
        hostname=ec2.get_address(instance),
        region=instance.region,
        cluster=instance.cluster,
        rank=instance.rank,
        user=host.user or config.ssh_user or DEFAULT_USER,
        identity_file=host.identity_file or str(config.private_key),
        known_hosts=host.known_hosts or str(app.paths.known_hosts),
    )


def hosts_to_add(app: App, inventory: Inventory, broken: Sequence[str], config: LaunchConfig) -> list[Host]:
    """Return hosts, still without an alias, for the running boxes without a block in the SSH config.

    A damaged block counts as one.
    """
    without_host = []
    for box in inventory.boxes:
        if box.host is None and box.is_reachable and box.instance_id not in broken:
            without_host.append(box.instance)
    if not without_host:
        return []
    return read_hosts(app, without_host, config)


def with_aliases(hosts: Iterable[Host], text: str) -> list[Host]:
    """Return the hosts with free aliases: nodes with those of their cluster and rank, others with the next ones."""
    with_alias = []
    for host in hosts:
        named = sshconfig.named(text, host)
        text = sshconfig.with_host(text, named)
        with_alias.append(named)
    return with_alias


def alias_addresses(hosts: Iterable[Host]) -> tuple[AliasAddress, ...]:
    """Return what a result says of these hosts, with the address of each."""
    return tuple(AliasAddress(host.instance_id, host.alias, host.hostname) for host in hosts)
