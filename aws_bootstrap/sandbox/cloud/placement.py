"""Placement groups, which moto lacks.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html
"""

from __future__ import annotations

import secrets
from fnmatch import fnmatchcase
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instance_types import INSTANCE_TYPES

from . import catalog
from .instances import NOT_LIVE

STRATEGIES = frozenset({"cluster", "spread", "partition"})


class PlacementGroup(TaggedEC2Resource):
    """One placement group."""

    def __init__(self, backend: Any, name: str, strategy: str, partitions: int | None) -> None:
        self.ec2_backend = backend
        self.id = f"pg-{secrets.token_hex(9)[:17]}"
        self.name = name
        self.strategy = strategy
        self.partitions = partitions

    def facts(self) -> dict[str, Any]:
        """Return the group as DescribePlacementGroups shows it."""
        shown: dict[str, Any] = {
            "GroupName": self.name,
            "State": "available",
            "Strategy": self.strategy,
            "GroupId": self.id,
            "GroupArn": self.arn,
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in self.get_tags()],
        }
        if self.partitions:
            shown["PartitionCount"] = self.partitions
        return shown

    @property
    def arn(self) -> str:
        """Return the ARN, which ends with the group's name."""
        return f"arn:aws:ec2:{self.ec2_backend.region_name}:{catalog.ACCOUNT}:placement-group/{self.name}"

    def passes(self, key: str, values: list[str]) -> bool:
        """Return whether the group passes one filter of DescribePlacementGroups."""
        tags = {tag["key"]: tag["value"] for tag in self.get_tags()}
        if key == "tag-key":
            return any(_is_among(name, values) for name in tags)
        if key.startswith("tag:"):
            return key[4:] in tags and _is_among(tags[key[4:]], values)
        shown = {"group-name": self.name, "group-arn": self.arn, "strategy": self.strategy, "state": "available"}
        if key not in shown:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{key}' is invalid")
        return _is_among(shown[key], values)


class Placement:
    """The part of the EC2 backend that stores placement groups. Mixed into `SandboxBackend`, whose state it uses."""

    region_name: str

    def __init__(self) -> None:
        self.placement_groups: dict[str, PlacementGroup] = {}

    def create_placement_group(
        self, name: str, strategy: str, tags: dict[str, str], partitions: int | None
    ) -> PlacementGroup:
        """Return the new group. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreatePlacementGroup.html"""
        if name in self.placement_groups:
            raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
        if strategy not in STRATEGIES:
            raise EC2ClientError("InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid.")
        group = PlacementGroup(self, name, strategy, partitions)
        group.add_tags(tags)
        self.placement_groups[name] = group
        return group

    def find_placement_groups(
        self, names: list[str], ids: list[str], filters: dict[str, list[str]]
    ) -> list[PlacementGroup]:
        """Return the groups of these names and ids (all, if there are none) that pass the filters."""
        chosen = [self.get_placement_group(name) for name in names]
        chosen += [self._group_of_id(group_id) for group_id in ids]
        if not names and not ids:
            chosen = list(self.placement_groups.values())
        for key, values in filters.items():
            chosen = [group for group in chosen if group.passes(key, values)]
        return chosen

    def get_placement_group(self, name: str) -> PlacementGroup:
        """Return the group; raise EC2's error if there is none."""
        if name not in self.placement_groups:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        return self.placement_groups[name]

    def _group_of_id(self, group_id: str) -> PlacementGroup:
        """Return the group of this id; raise EC2's error if there is none."""
        for group in self.placement_groups.values():
            if group.id == group_id:
                return group
        raise EC2ClientError("InvalidPlacementGroupId.Unknown", f"The placement group ID '{group_id}' is unknown.")

    def delete_placement_group(self, name: str) -> None:
        """Delete a group; raise EC2's error if a live instance is in it."""
        group = self.get_placement_group(name)
        if self._members(name):
            raise EC2ClientError(
                "InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use and may not be deleted."
            )
        del self.placement_groups[name]
        self.tags.pop(group.id, None)  # type: ignore[attr-defined]

    def _members(self, name: str) -> list[Any]:
        """Return the group's instances that have not ended."""
        instances = self.live_instances()  # type: ignore[attr-defined]
        return [one for one in instances if one.placement.group_name == name and one.state not in NOT_LIVE]

    def check_strategy(self, group_name: str, instance_type: str) -> None:
        """Raise EC2's error if instances of this type cannot be in the group.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/limitations-placement-groups.html
        """
        strategy = self.get_placement_group(group_name).strategy
        supported = INSTANCE_TYPES[instance_type].get("PlacementGroupInfo", {}).get("SupportedStrategies", [])
        if strategy not in supported:
            raise EC2ClientError(
                "InvalidParameterCombination",
                f"{strategy.capitalize()} placement groups are not supported by the '{instance_type}' instance type. "
                "Specify a supported instance type or change the placement group strategy, and try again.",
            )

    def zone_of_group(self, group_name: str) -> str | None:
        """Return the zone of a cluster placement group: that of its instances, None without any.

        A cluster placement group cannot span zones:
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/limitations-placement-groups.html
        """
        if not group_name or self.get_placement_group(group_name).strategy != "cluster":
            return None
        for instance in self._members(group_name):
            return str(instance.availability_zone)
        return None


def in_another_zone(group_name: str, zone: str) -> EC2ClientError:
    """Return EC2's error for a launch into a cluster placement group whose instances are in another zone."""
    return EC2ClientError(
        "InvalidPlacementGroup.InUse",
        f"The placement group '{group_name}' is in use in another availability zone: {zone}",
    )


def _is_among(value: str, patterns: list[str]) -> bool:
    """Return whether the value is one of those of a filter, which may have wildcards."""
    return any(fnmatchcase(value, pattern) for pattern in patterns)
