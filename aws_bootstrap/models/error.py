"""The `error` object of a failed command's document."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Command
from .facts import RegionReason, Resource


@dataclass(frozen=True)
class ErrorReport:
    """The `error` object of a failed command's document (contract §1)."""

    code: str
    message: str
    hint: str | None = None
    resources: tuple[Resource, ...] = ()
    regions: tuple[RegionReason, ...] = ()
    #: The commands of the hint: `output` fills it in when it shows a document.
    next: tuple[Command, ...] = ()
