"""What clusters without a node have left: the groups that their nodes shared. They do not bill; `cleanup` deletes them.

A launch creates them before its nodes. So one that waits for capacity has groups without nodes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, output
from ..errors import BootstrapError
from ..models import DeletedGroup, GroupEntry, Instance, PlacementGroup, SecurityGroup, Volume
from ..parallel import gather, run_parallel
from .cluster import shared
from .cluster.shared import SharedGroups
from .inventory import Inventory, read_region
from .owners import is_yours, warn_if_caller_unknown
from .unknown import Calls

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App

#: The groups of a region, or the error of one without the permission to read them.
type GroupsRead = SharedGroups | BootstrapError

_UNKNOWN = "It is unknown whether it was deleted."


def read(client: EC2Client, instance_ids: Sequence[str]) -> tuple[list[Instance], list[Volume], GroupsRead]:
    """Return one region's instances, its volumes, which are read before them, and its groups, beside both.

    Groups without a permission for them are left out: whoever uses no clusters may lack it.
    """
    groups, (instances, volumes) = gather(
        partial(_read_groups, client), partial(read_region, client, instance_ids, "first")
    )
    return instances, volumes, groups


def _read_groups(client: EC2Client) -> GroupsRead:
    try:
        return shared.read(client)
    except BootstrapError as exc:
        if exc.code != "access-denied":
            raise
        return exc


def without_nodes(
    inventory: Inventory, groups: Mapping[str, GroupsRead], caller: str | None, *, everyone: bool
) -> tuple[tuple[GroupEntry, ...], tuple[GroupEntry, ...]]:
    """Return the placement groups and the security groups of clusters that have no node in their region any more.

    Those of the caller, or with `everyone` all of them. Warn once if they may not be read.
    """
    unread = {region: answer for region, answer in groups.items() if isinstance(answer, BootstrapError)}
    if unread:
        reason = next(iter(unread.values()))
        message = f"Could not read what clusters have left in {', '.join(unread)}, which does not bill: {reason}"
        output.warn(message, code="groups-unknown")
    placement_groups: list[GroupEntry] = []
    security_groups: list[GroupEntry] = []
    instances = [box.instance for box in inventory.boxes]
    for region, answer in groups.items():
        if isinstance(answer, BootstrapError):
            continue
        left = _left(region, answer, instances)
        placement_groups += [_entry(group.name, region, group, caller) for group in left.placement_groups]
        security_groups += [_entry(group.group_id, region, group, caller) for group in left.security_groups]
    if everyone:
        return _without_yours(placement_groups), _without_yours(security_groups)
    warn_if_caller_unknown(entry.yours for entry in (*placement_groups, *security_groups))
    return (
        tuple(entry for entry in placement_groups if entry.yours),
        tuple(entry for entry in security_groups if entry.yours),
    )


def _without_yours(entries: Iterable[GroupEntry]) -> tuple[GroupEntry, ...]:
    """Return the groups of everyone: with --everyone it was not read who calls."""
    return tuple(replace(entry, yours=None) for entry in entries)


def _left(region: str, groups: SharedGroups, instances: Iterable[Instance]) -> SharedGroups:
    """Return the groups of clusters that none of these instances is a node of."""
    living = {instance.cluster for instance in instances if instance.region == region}
    return SharedGroups(
        tuple(group for group in groups.placement_groups if group.cluster not in living),
        tuple(group for group in groups.security_groups if group.cluster not in living),
    )


def _entry(group_id: str, region: str, group: PlacementGroup | SecurityGroup, caller: str | None) -> GroupEntry:
    return GroupEntry(group_id, str(group.cluster), region, group.owner, is_yours(group.owner, caller))


def delete(
    app: App, calls: Calls, entries: Sequence[GroupEntry], note: Callable[[GroupEntry, DeletedGroup], None]
) -> None:
    """Delete these groups if their clusters still have no node, and note each outcome; all regions in parallel."""
    by_region: dict[str, list[GroupEntry]] = {}
    for entry in entries:
        by_region.setdefault(entry.region, []).append(entry)
    deletions: list[Callable[[], None]] = []
    for region, of_region in by_region.items():
        deletions.append(partial(_delete_in, app.aws.ec2(region), calls, of_region, note))
    run_parallel(deletions)


def _delete_in(
    client: EC2Client, calls: Calls, entries: Sequence[GroupEntry], note: Callable[[GroupEntry, DeletedGroup], None]
) -> None:
    """Delete groups of one region. They may have got a node while the user decided."""
    try:
        living = {instance.cluster for instance in ec2.find_instances(client)}
    except BootstrapError as exc:
        for entry in entries:
            note(entry, outcome(entry, str(exc)))
        return
    for entry in entries:
        if entry.cluster_id in living:
            note(entry, outcome(entry, f"The cluster {entry.cluster_id} has a node again."))
        else:
            _delete_one(client, calls, entry, note)


def _delete_one(
    client: EC2Client, calls: Calls, entry: GroupEntry, note: Callable[[GroupEntry, DeletedGroup], None]
) -> None:
    def note_deleted(_: object) -> None:
        note(entry, outcome(entry, None))

    try:
        if entry.is_security_group:
            shared.delete_security_group(calls, client, entry.id, note_deleted)
        else:
            shared.delete_placement_group(calls, client, entry.id, note_deleted)
    except BootstrapError as exc:
        reason = str(exc)
        if is_unknown(calls, entry):
            reason = f"{reason} {_UNKNOWN}"
        note(entry, outcome(entry, reason))


def is_unknown(calls: Calls, entry: GroupEntry) -> bool:
    """Return whether it is unknown if the group was deleted."""
    return shared.deletion_of(entry.id, entry.region) in calls.unknown


def undeleted(calls: Calls, entry: GroupEntry) -> DeletedGroup:
    """Return the outcome of a group whose deletion was not confirmed."""
    if is_unknown(calls, entry):
        return outcome(entry, _UNKNOWN)
    return outcome(entry, "The command stopped before it was deleted.")


def outcome(entry: GroupEntry, error: str | None) -> DeletedGroup:
    """Return the outcome of a group: deleted if there is no error."""
    return DeletedGroup(entry.id, entry.cluster_id, entry.region, error is None, error)
