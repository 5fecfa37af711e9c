"""A local EC2 and local boxes behind the same interfaces: no account, no cost, no network.

This module stays light: the command line imports it before it knows whether a sandbox is requested. Everything
heavy (moto, asyncssh) lives in the background process that `environment` starts.
"""

from __future__ import annotations

from pathlib import Path

from . import process
from .home import Home


def environment(home: Path | None = None) -> dict[str, str | None]:
    """Return the variables that point any AWS tool at the sandbox, started if it does not run; None means unset."""
    place = Home.of(home)
    return place.environment(process.ensure_running(place))
