"""The result of `extend`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional, private
from .facts import RegionFailure


@dataclass(frozen=True)
class ExtendedNode:
    """When a node of a cluster ends by itself from now on."""

    rank: int
    instance_id: str
    ssh_alias: str | None
    #: Null where no deadline is set.
    deadline: datetime | None = None
    #: Null where no limit is set.
    idle_timeout_seconds: int | None = None
    #: Why its limits did not change, or may not have.
    error: str | None = optional()
    error_code: str | None = private()
    hint: str | None = private()
    #: As those of an ExtendReport.
    tag_error: str | None = private()
    tag_command: str | None = private()


@dataclass(frozen=True)
class ExtendReport(Result):
    """When a box ends by itself from now on, as its guardian has noted it; of a cluster that of its first node."""

    instance_id: str
    ssh_alias: str | None
    region: str
    #: Null where no deadline is set.
    deadline: datetime | None
    #: After how many seconds without work the box ends; null where no limit is set.
    idle_timeout_seconds: int | None
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The cluster whose nodes were all extended.
    cluster_id: str | None = optional()
    #: These nodes, by rank.
    nodes: tuple[ExtendedNode, ...] | None = optional()
    #: From now until the deadline.
    seconds_left: float | None = private()
    #: Why the tags of the instance still have the limits from before.
    tag_error: str | None = private()
    #: The command that writes them.
    tag_command: str | None = private()
