"""The result of `extend`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, private
from .facts import RegionFailure


@dataclass(frozen=True)
class ExtendReport(Result):
    """When a box ends by itself from now on, as its guardian has noted it."""

    instance_id: str
    ssh_alias: str | None
    region: str
    #: Null where no deadline is set.
    deadline: datetime | None
    #: After how many seconds without work the box ends; null where no limit is set.
    idle_timeout_seconds: int | None
    regions_failed: tuple[RegionFailure, ...] = ()
    #: From now until the deadline.
    seconds_left: float | None = private()
    #: Why the tags of the instance still have the limits from before.
    tag_error: str | None = private()
    #: The command that writes them.
    tag_command: str | None = private()
