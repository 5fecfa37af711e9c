"""What a person sees of each result. Functions from a result to text; no I/O."""

from .. import next_clusters, next_power, next_runs, next_volumes  # noqa: F401 (they add their commands)
from . import (
    access,
    cleanup,
    cluster_launch,
    completion,
    config_report,
    cost_report,
    image,
    launch,
    listing,
    power,
    prices,
    quota,
    remote,
    rename,
    status,
    terminate,
    transfer,
    tunnel,
    volume,
)
from .text import text

__all__ = [
    "access",
    "cleanup",
    "cluster_launch",
    "completion",
    "config_report",
    "cost_report",
    "image",
    "launch",
    "listing",
    "power",
    "prices",
    "quota",
    "remote",
    "rename",
    "status",
    "terminate",
    "text",
    "transfer",
    "tunnel",
    "volume",
]
