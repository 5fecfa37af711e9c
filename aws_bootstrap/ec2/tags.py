"""The tags that find our resources again: AWS is the only record of what this tool made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import CREATED_BY, TAG_CREATED_BY

OURS = {"Name": f"tag:{TAG_CREATED_BY}", "Values": [CREATED_BY]}
"""Describe* filter for what this tool made."""


def specification(resource_type: str, name: str, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One TagSpecification: the Name, the user's own tags (another Name among them), and ours, which always stands."""
    tags = {"Name": name, **(extra or {}), TAG_CREATED_BY: CREATED_BY}
    return {"ResourceType": resource_type, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}


def values(raw: Mapping[str, Any]) -> dict[str, str]:
    """A described resource's tags as a dictionary."""
    return {t["Key"]: t.get("Value", "") for t in raw.get("Tags", []) if "Key" in t}
