"""An exported file: itself, so that the output can be sent to a file."""

from __future__ import annotations

from ..models import ClusterExport
from .text import text


@text.register
def cluster_export(result: ClusterExport) -> str:
    """Return the content of the file."""
    return result.content.rstrip("\n")
