"""The result of `cluster export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .base import Result
from .facts import RegionFailure

#: A tool for which a file is written.
ExportTarget = Literal["skypilot", "ray", "sbatch"]


@dataclass(frozen=True)
class ClusterExport(Result):
    """A file with which another tool launches the same cluster or runs the same job."""

    cluster_id: str
    to: ExportTarget
    #: How the file may be called.
    file_name: str
    content: str
    #: What it does not have, and where to add it.
    notes: tuple[str, ...] = ()
    regions_failed: tuple[RegionFailure, ...] = ()
