"""Results of commands on a box: `ssh` and `exec`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, optional, private
from .facts import RegionFailure


@dataclass(frozen=True)
class SshReport(Result):
    """How a command on a box ended."""

    instance_id: str
    ssh_alias: str
    #: Of the command; left out where it did not run to its end.
    exit_code: int | None = optional()
    #: The end of its output, errors among it, in the order in which they came.
    output: str | None = optional()
    #: Whether the beginning of the output is missing.
    truncated: bool | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class ExecResult:
    """How the command ended on one box: its exit code, or why it is unknown."""

    instance_id: str
    ssh_alias: str
    exit_code: int | None = optional()
    output: str | None = optional()
    truncated: bool | None = optional()
    error: str | None = optional()
    #: The word of docs/errors.md for the error.
    error_code: str | None = optional()


@dataclass(frozen=True)
class ExecReport(Result):
    """How a command ended on each of some boxes."""

    results: tuple[ExecResult, ...]
    #: The highest exit code; left out where a box did not run the command to its end.
    exit_code: int | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: What helps with the first error.
    hint: str | None = private()
