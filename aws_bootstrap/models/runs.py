"""Runs, the detached commands of a box, and the results of `run`, `logs`, `attach` and `ps`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .base import Result, optional
from .facts import RegionFailure

#: `lost`: it ended without an exit code, by a reboot or because it was killed.
RunState = Literal["running", "exited", "lost"]


@dataclass(frozen=True)
class Run:
    """A command that a box runs without a connection, or has run."""

    instance_id: str
    ssh_alias: str
    #: Its number, or the name that was given to it.
    run: str
    state: RunState
    #: Null while it runs, and where it is lost.
    exit_code: int | None
    command: str
    #: The folder in which it was started.
    folder: str
    started: datetime
    ended: datetime | None
    #: Until now, or until its end; null where that is unknown.
    runtime_seconds: int | None
    #: `terminate`: its box ends after it.
    then: str | None


@dataclass(frozen=True)
class RunReport(Result):
    """A run that has been started."""

    run: Run
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class LogReport(Result):
    """The log of a run, of the setup or of the guardian."""

    instance_id: str
    ssh_alias: str
    #: Null for a log that is not a run's.
    run: Run | None
    #: `run`, `setup` or `guardian`.
    source: str
    #: The end of the log.
    output: str | None = optional()
    truncated: bool | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class AttachReport(Result):
    """A run that was followed to its end."""

    instance_id: str
    ssh_alias: str
    run: Run
    #: Of the run; left out where it is lost.
    exit_code: int | None = optional()
    output: str | None = optional()
    truncated: bool | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class RunList(Result):
    """The runs of some boxes, the newest last."""

    runs: tuple[Run, ...]
    #: The aliases of the boxes that answered.
    boxes: tuple[str, ...]
    #: Those that did not.
    boxes_failed: tuple[BoxFailure, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class BoxFailure:
    """A box whose runs are unknown, and why."""

    instance_id: str
    ssh_alias: str | None
    error: str
