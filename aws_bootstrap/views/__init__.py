"""What a person sees of each result. Functions from a result to text; no I/O."""

from . import launch, status, terminate
from .text import text

__all__ = ["launch", "status", "terminate", "text"]
