"""Result of `completion`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result
from .facts import RegionFailure


@dataclass(frozen=True)
class CompletionScript(Result):
    """What a shell has to read to complete our commands."""

    shell: str
    script: str
    regions_failed: tuple[RegionFailure, ...] = ()
