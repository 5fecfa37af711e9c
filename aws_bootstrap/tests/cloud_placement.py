"""Placement groups, which moto lacks, for the `cloud` of tests: created, listed, deleted unless in use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

type Answer = tuple[SimpleNamespace, dict[str, Any]]


class PlacementGroups:
    """The placement groups of every region."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], dict[str, Any]] = {}
        self.in_use: set[str] = set()
        """The names of groups that EC2 does not delete."""

    def answer(self, region: str, operation: str, body: dict[str, Any]) -> Answer | None:
        """Return what EC2 says to this request; None if it is about something else."""
        if operation == "DescribePlacementGroups":
            found = [group for (where, _), group in self.groups.items() if where == region and _passes(group, body)]
            return _ok({"PlacementGroups": found})
        name = body.get("GroupName", "")
        if operation == "CreatePlacementGroup":
            return self._create(region, name, body)
        if operation == "DeletePlacementGroup":
            if (region, name) not in self.groups:
                return _error("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
            if name in self.in_use:
                return _error("InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use.")
            del self.groups[region, name]
            return _ok({})
        return None

    def _create(self, region: str, name: str, body: dict[str, Any]) -> Answer:
        if (region, name) in self.groups:
            return _error("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
        tags = {}
        for number in range(1, 20):
            key = body.get(f"TagSpecification.1.Tag.{number}.Key")
            if key:
                tags[key] = body.get(f"TagSpecification.1.Tag.{number}.Value", "")
        shown = [{"Key": key, "Value": value} for key, value in tags.items()]
        group = {"GroupName": name, "State": "available", "Strategy": body["Strategy"], "Tags": shown}
        self.groups[region, name] = group
        return _ok({"PlacementGroup": group})


def _passes(group: dict[str, Any], body: dict[str, Any]) -> bool:
    """Return whether the group passes the filters of a request."""
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    for number in range(1, 10):
        name = body.get(f"Filter.{number}.Name")
        value = body.get(f"Filter.{number}.Value.1")
        if name == "group-name" and group["GroupName"] != value:
            return False
        if name == "tag-key" and value not in tags:
            return False
        if name and name.startswith("tag:") and tags.get(name[4:]) != value:
            return False
    return True


def _ok(parsed: dict[str, Any]) -> Answer:
    return SimpleNamespace(status_code=200), parsed


def _error(code: str, message: str) -> Answer:
    return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
