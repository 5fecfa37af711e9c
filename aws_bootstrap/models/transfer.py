"""The results of `cp` and `sync`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, private
from .facts import RegionFailure


def size_text(count: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


@dataclass(frozen=True)
class CopyReport(Result):
    """What was copied between this machine and a box."""

    instance_id: str
    ssh_alias: str
    region: str | None
    #: As on the command line.
    sources: tuple[str, ...]
    target: str
    #: What copied: `rsync`, or `scp` where a side has no rsync.
    engine: str
    #: Files whose content was sent. rsync leaves out those that are equal already.
    files: int
    #: The sizes of these files.
    bytes: int
    seconds: float
    #: Why files were not copied, one a file.
    errors: tuple[str, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Whether the connection broke meanwhile.
    lost: bool = private(False)


@dataclass(frozen=True)
class FileChange:
    """A file that a `sync` changes in the target folder."""

    #: Below the folder.
    path: str
    #: `new`, `changed` or `deleted`.
    change: str


@dataclass(frozen=True)
class SyncReport(Result):
    """What was synchronized between a folder of this machine and one of a box; with --dry-run, what would be."""

    instance_id: str
    ssh_alias: str
    region: str | None
    source: str
    target: str
    dry_run: bool
    #: Files whose content was sent, or would be.
    files: int
    bytes: int
    seconds: float
    changes: tuple[FileChange, ...] = ()
    #: How many files the target folder has that the source lacks, and that were not deleted.
    extra_files: int | None = None
    #: Why files were not copied or deleted, one a file.
    errors: tuple[str, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Whether the connection broke meanwhile.
    lost: bool = private(False)
