"""A completion script: itself."""

from __future__ import annotations

from ..models import CompletionScript
from .text import text


@text.register
def completion_script(result: CompletionScript) -> str:
    """Return the script, to be read by a shell."""
    return result.script
