"""The tags that find our resources again: AWS is the only record of what this tool made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import CREATED_BY, TAG_CREATED_BY

OURS = {"Name": f"tag:{TAG_CREATED_BY}", "Values": [CREATED_BY]}
"""Describe* filter for what this tool made."""


def specification(resource_type: str, name: str, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return one TagSpecification: the Name, the user's tags (perhaps another Name), and ours, which always stays."""
    tags = {"Name": name, **(extra or {}), TAG_CREATED_BY: CREATED_BY}
    return {"ResourceType": resource_type, "Tags": as_list(tags)}


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the tags as EC2 takes them."""
    pairs: list[dict[str, str]] = []
    for key, value in tags.items():
        pairs.append({"Key": key, "Value": value})
    return pairs


def values(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return a described resource's tags as a dictionary."""
    found: dict[str, str] = {}
    for tag in raw.get("Tags", []):
        if "Key" in tag:
            found[tag["Key"]] = tag.get("Value", "")
    return found
