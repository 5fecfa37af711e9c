"""A completion script: itself."""

from __future__ import annotations

from ..models import CompletionScript
from .text import text


@text.register
def _(result: CompletionScript) -> str:
    """The script, to be read by a shell."""
    return result.script
