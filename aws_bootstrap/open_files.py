"""How many files this process may have open. Each connection to a box takes some, and macOS begins with 256."""

from __future__ import annotations

import contextlib
import resource

#: Four for each of a thousand boxes, and what is open besides them.
ENOUGH = 4500


def allow(count: int = ENOUGH) -> None:
    """Allow this process so many open files, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS has a third limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
