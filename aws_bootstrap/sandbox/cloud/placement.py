"""Placement groups, which moto lacks, and security groups that are in use.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from .instances import NOT_LIVE

STRATEGIES = frozenset({"cluster", "spread", "partition"})


@dataclass
class PlacementGroup:
    """One placement group."""

    name: str
    strategy: str
    id: str
    tags: list[dict[str, str]] = field(default_factory=list)
    partitions: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return the group as DescribePlacementGroups shows it."""
        shown: dict[str, Any] = {
            "GroupName": self.name,
            "State": "available",
            "Strategy": self.strategy,
            "GroupId": self.id,
            "Tags": self.tags,
        }
        if self.partitions:
            shown["PartitionCount"] = self.partitions
        return shown


class Placement:
    """The part of the EC2 backend that stores groups. Mixed into `SandboxBackend`, whose state it uses."""

    region_name: str

    def __init__(self) -> None:
        self.placement_groups: dict[str, PlacementGroup] = {}

    def create_placement_group(
        self, name: str, strategy: str, tags: list[dict[str, str]], partitions: int | None
    ) -> PlacementGroup:
        """Return the new group. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreatePlacementGroup.html"""
        if name in self.placement_groups:
            raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
        if strategy not in STRATEGIES:
            raise EC2ClientError("InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid.")
        group = PlacementGroup(name, strategy, f"pg-{secrets.token_hex(9)[:17]}", tags, partitions)
        self.placement_groups[name] = group
        return group

    def find_placement_groups(self, names: list[str], filters: dict[str, list[str]]) -> list[PlacementGroup]:
        """Return the groups of these names (all, if there are none) that pass the filters."""
        for name in names:
            self.get_placement_group(name)
        chosen = [self.placement_groups[name] for name in names] or list(self.placement_groups.values())
        for key, values in filters.items():
            chosen = [group for group in chosen if _passes(group, key, values)]
        return chosen

    def get_placement_group(self, name: str) -> PlacementGroup:
        """Return the group; raise EC2's error if there is none."""
        if name not in self.placement_groups:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        return self.placement_groups[name]

    def delete_placement_group(self, name: str) -> None:
        """Delete a group; raise EC2's error if a live instance is in it."""
        self.get_placement_group(name)
        for instance in self._all():
            if instance.placement.group_name == name and instance.state not in NOT_LIVE:
                raise EC2ClientError(
                    "InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use and may not be deleted."
                )
        del self.placement_groups[name]

    def _all(self) -> list[Any]:
        """Return every instance of the region."""
        return [instance for held in self.reservations.values() for instance in held.instances]  # type: ignore[attr-defined]

    def _delete_security_group(self, vpc_id: str | None, group_id: str) -> Any:
        """Delete a security group; raise EC2's error while an instance's interface uses it.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
        """
        for instance in self._all():
            if instance.state != "terminated" and any(group.id == group_id for group in instance.security_groups):
                raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        return super()._delete_security_group(vpc_id, group_id)  # type: ignore[misc]


def _passes(group: PlacementGroup, key: str, values: list[str]) -> bool:
    """Return whether the group passes one filter."""
    if key.startswith("tag:"):
        return any(tag["Key"] == key[4:] and tag["Value"] in values for tag in group.tags)
    shown = {"group-name": group.name, "strategy": group.strategy, "state": "available", "group-id": group.id}
    if key not in shown:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{key}' is invalid")
    return shown[key] in values
