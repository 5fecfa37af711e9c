"""The paths of `cp` and `sync`: those of a box begin with its alias and a colon, as for scp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError

#: As for scp: a colon before any slash. An alias has none of these characters.
_ON_BOX = re.compile(r"(?P<name>[A-Za-z0-9_.-]*):(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A path of this machine, or of a box."""

    #: As on the command line.
    text: str
    path: str
    is_on_box: bool
    #: The alias or id; None means the only box that runs.
    name: str | None = None


def place(text: str) -> Place:
    """Return the place that a word of the command line names."""
    named = _ON_BOX.fullmatch(text)
    if named is None:
        return Place(text, _beside_options(text), False)
    return Place(text, _from_home(named["path"]), True, named["name"] or None)


def _from_home(path: str) -> str:
    """Return a path of the box, which begins in the home of its user: no shell is there to replace `~`."""
    if path in ("", "~", "~/"):
        return "."
    return _beside_options(path.removeprefix("~/").lstrip("/") if path.startswith("~/") else path)


def _beside_options(path: str) -> str:
    """Return a path that no program takes for an option, or for one of a box."""
    if path.startswith("/") or path in (".", ".."):
        return path
    if path.startswith("-") or ":" in path:
        return f"./{path}"
    return path


def check_sides(sources: Sequence[Place], target: Place) -> Place:
    """Return the place that names the box. UsageError unless one side, and only one, is a box."""
    boxes: set[str | None] = set()
    for source in sources:
        if source.is_on_box:
            boxes.add(source.name)
    here = [source for source in sources if not source.is_on_box]
    if not boxes and not target.is_on_box:
        hint = "Write a path of a box as ALIAS:PATH, or :PATH for your only box."
        if "/" not in target.text and target.text not in (".", ".."):
            hint += f" If {target.text} is a box, its home is {target.text}:"
        raise UsageError("No path names a box.", hint=hint)
    if boxes and target.is_on_box:
        raise UsageError("Both sides are boxes.", hint="Copy to this machine first, then to the other box.")
    if len(boxes) > 1 or (boxes and here):
        raise UsageError("All sources must be on one side.", hint="Run one command for each side.")
    if target.is_on_box:
        return target
    return sources[0]
