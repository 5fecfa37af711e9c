"""What a person sees of each result. Functions from a result to text; no I/O."""

from . import access, cleanup, completion, cost_report, image, launch, listing, quota, status, terminate
from .text import text

__all__ = [
    "access",
    "cleanup",
    "completion",
    "cost_report",
    "image",
    "launch",
    "listing",
    "quota",
    "status",
    "terminate",
    "text",
]
