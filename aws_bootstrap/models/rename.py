"""The result of `rename`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result
from .facts import RegionFailure


@dataclass(frozen=True)
class RenameReport(Result):
    """A box with its new name: the alias in the SSH config of this machine, and the tag `Name` of its instance."""

    instance_id: str
    region: str
    previous_alias: str
    ssh_alias: str
    regions_failed: tuple[RegionFailure, ...] = ()
