"""What the guardian of a box says about its idleness: text in, facts out. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

#: The command whose output `parse` reads; nothing on a box without a guardian.
QUERY = "cat /run/aws-bootstrap/idleness.json 2>/dev/null; true"


@dataclass(frozen=True)
class Idleness:
    """Whether a box has work, as its guardian sees it."""

    #: For how long the box has had no work.
    idle_seconds: int
    #: What each probe that is not quiet says, by its name.
    busy: dict[str, str]


def parse(text: str) -> Idleness | None:
    """Return what the guardian wrote; None without one, or where it wrote something else."""
    try:
        written = json.loads(text)
        idle_seconds = int(written["idle_seconds"])
        probes = dict(written["probes"])
    except (ValueError, KeyError, TypeError):
        return None
    busy: dict[str, str] = {}
    for name, found in probes.items():
        if found:
            busy[name] = str(found)
    return Idleness(idle_seconds, busy)
