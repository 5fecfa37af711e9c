"""What a person sees of each result. Functions from a result to text; no I/O."""

from .. import next_power, next_volumes  # noqa: F401 (adds its commands)
from . import (
    access,
    cleanup,
    completion,
    config_report,
    cost_report,
    image,
    launch,
    listing,
    power,
    prices,
    quota,
    rename,
    status,
    terminate,
    volume,
)
from .text import text

__all__ = [
    "access",
    "cleanup",
    "completion",
    "config_report",
    "cost_report",
    "image",
    "launch",
    "listing",
    "power",
    "prices",
    "quota",
    "rename",
    "status",
    "terminate",
    "text",
    "volume",
]
