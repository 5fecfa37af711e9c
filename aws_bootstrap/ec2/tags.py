"""The tags by which resources are found again: AWS is the only record of what this tool created."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..config import CREATED_BY, TAG_CLUSTER, TAG_CREATED_BY, TAG_RANK, TAG_RANKS, TAG_SETTINGS

if TYPE_CHECKING:
    from types_boto3_ec2.literals import ResourceTypeType
    from types_boto3_ec2.type_defs import FilterTypeDef, TagSpecificationTypeDef, TagTypeDef

#: The longest value of a tag: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
_LONGEST = 256
_SETTINGS_KEYS = (TAG_SETTINGS, f"{TAG_SETTINGS}-2")
_TOO_LONG = "(too long)"

#: Describe* filter for what this tool created.
CREATED_BY_FILTER: FilterTypeDef = {"Name": f"tag:{TAG_CREATED_BY}", "Values": [CREATED_BY]}


def specification(
    resource_type: ResourceTypeType, name: str, extra: Mapping[str, str] | None = None
) -> TagSpecificationTypeDef:
    """Return one TagSpecification: the Name, the user's tags (perhaps another Name), and the tag of this tool."""
    tags = {"Name": name, **(extra or {}), TAG_CREATED_BY: CREATED_BY}
    return {"ResourceType": resource_type, "Tags": as_list(tags)}


def as_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Return the tags in the form of a request."""
    pairs: list[TagTypeDef] = []
    for key, value in tags.items():
        pairs.append({"Key": key, "Value": value})
    return pairs


def values(tags: Iterable[TagTypeDef]) -> dict[str, str]:
    """Return a described resource's tags as a dictionary."""
    found: dict[str, str] = {}
    for tag in tags:
        if "Key" in tag:
            found[tag["Key"]] = tag.get("Value", "")
    return found


def of_settings(line: str) -> dict[str, str]:
    """Return the tags that hold the settings of a launch.

    Always both, so that none is left of an older launch. A line that does not fit is not kept.
    """
    first, second = _SETTINGS_KEYS
    if len(line) > 2 * _LONGEST:
        return {first: _TOO_LONG, second: ""}
    return {first: line[:_LONGEST], second: line[_LONGEST:]}


def settings(named: Mapping[str, str]) -> str | None:
    """Return the settings that the tags hold; None if they hold none."""
    first, second = _SETTINGS_KEYS
    if named.get(first) in (None, _TOO_LONG):
        return None
    return named[first] + named.get(second, "")


def time(value: str | None) -> datetime | None:
    """Return the time that a tag holds; None without one, or where somebody wrote something else."""
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(value or "")
        if found.tzinfo:
            return found
    return None


def whole_number(value: str | None) -> int | None:
    """Return the number that a tag holds; None without one, or where somebody wrote something else."""
    if value and value.isdecimal():
        return int(value)
    return None


def of_cluster(cluster_id: str) -> dict[str, str]:
    """Return the tag of everything that belongs to a cluster."""
    return {TAG_CLUSTER: cluster_id}


def of_ranks(cluster_id: str, ranks: Sequence[int]) -> dict[str, str]:
    """Return the tags of a call that starts nodes of these ranks: all instances of one call get the same tags."""
    tagged = {**of_cluster(cluster_id), TAG_RANKS: _range_text(ranks)}
    if len(ranks) == 1:
        tagged[TAG_RANK] = str(ranks[0])
    return tagged


def rank(named: Mapping[str, str], launch_index: int) -> int | None:
    """Return the rank that a node's tags hold; None for a box of its own.

    Before it has a tag of its own it follows from the ranks of its call, in the order of EC2's launch indexes.
    """
    own = whole_number(named.get(TAG_RANK))
    if own is not None or TAG_CLUSTER not in named:
        return own
    of_call = ranks_of_call(named)
    if launch_index < len(of_call):
        return of_call[launch_index]
    return None


def ranks_of_call(named: Mapping[str, str]) -> tuple[int, ...]:
    """Return the ranks of all nodes that one call started, as each of them has them in its tags."""
    return tuple(_range_numbers(named.get(TAG_RANKS, "")))


def _range_text(numbers: Sequence[int]) -> str:
    """Return ascending numbers as ranges, such as `0-3,6`: a tag holds few characters."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][-1] = number
        else:
            ranges.append([number, number])
    words: list[str] = []
    for first, last in ranges:
        words.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(words)


def _range_numbers(text: str) -> list[int]:
    """Return the numbers of such ranges; none where somebody wrote something else."""
    numbers: list[int] = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return []
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def of_user(named: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the tags that the user added to what this tool created. AWS's own (`aws:`) cannot be set again."""
    found: list[tuple[str, str]] = []
    for key, value in named.items():
        if key not in ("Name", TAG_CREATED_BY) and not key.startswith(("aws:", "aws-bootstrap")):
            found.append((key, value))
    return tuple(found)
