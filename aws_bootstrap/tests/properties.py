"""How many cases a property test makes up. `PROPERTY_TIMES=50 uv run pytest …` tries fifty times as many."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

_TIMES = int(os.environ.get("PROPERTY_TIMES", "1"))


def cases(count: int) -> Any:
    """Return the decorator for a property that is held over so many cases, or a multiple of them.

    Cases share a test's folder and fixtures, and are not judged by the time that they take.
    """
    return settings(
        max_examples=count * _TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
