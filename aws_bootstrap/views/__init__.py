"""What a person sees of each result. Functions from a result to text; no I/O."""

from . import access, cleanup, completion, cost_report, launch, listing, quota, remote, status, terminate
from .text import text

__all__ = [
    "access",
    "cleanup",
    "completion",
    "cost_report",
    "launch",
    "listing",
    "quota",
    "remote",
    "status",
    "terminate",
    "text",
]
