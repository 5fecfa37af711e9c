"""What the nodes of a cluster share, a placement group and a security group: found by their tags, and deleted.

Only groups are found that carry the tags of this program and of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2
from ...models import PlacementGroup, SecurityGroup
from ...parallel import gather
from ..unknown import Calls

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class SharedGroups:
    """The placement groups and security groups of clusters in one region."""

    placement_groups: tuple[PlacementGroup, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()

    def of(self, cluster_id: str) -> SharedGroups:
        """Return those of one cluster."""
        placement_groups = [group for group in self.placement_groups if group.cluster == cluster_id]
        security_groups = [group for group in self.security_groups if group.cluster == cluster_id]
        return SharedGroups(tuple(placement_groups), tuple(security_groups))

    @property
    def owners(self) -> set[str | None]:
        """Return the owners of the groups."""
        owners = {group.owner for group in self.placement_groups}
        return owners | {group.owner for group in self.security_groups}


def read(client: EC2Client) -> SharedGroups:
    """Return what the clusters of a region share. It does not bill."""
    placement_groups, security_groups = gather(
        partial(ec2.find_placement_groups, client), partial(ec2.find_cluster_groups, client)
    )
    return SharedGroups(tuple(placement_groups), tuple(security_groups))


def delete_placement_group(calls: Calls, client: EC2Client, name: str, note: Callable[[object], None]) -> None:
    """Delete a placement group. BootstrapError if that is refused, or if it is unknown whether it was deleted."""

    def find_deletion() -> bool | None:
        return ec2.find_placement_group(client, name) is None or None

    delete = partial(ec2.delete_placement_group, client, name)
    calls.make(deletion_of(name, client.meta.region_name), delete, look=find_deletion, note=note)


def delete_security_group(calls: Calls, client: EC2Client, group_id: str, note: Callable[[object], None]) -> None:
    """Delete a security group with its rules. BootstrapError as for a placement group."""

    def find_deletion() -> bool | None:
        return not ec2.get_security_groups(client, [group_id]) or None

    delete = partial(ec2.delete_security_group, client, group_id)
    calls.make(deletion_of(group_id, client.meta.region_name), delete, look=find_deletion, note=note)


def deletion_of(name: str, region: str) -> str:
    """Return the name of the call that deletes a group. Placement groups of two regions may have one name."""
    return f"the deletion of {name} in {region}"
