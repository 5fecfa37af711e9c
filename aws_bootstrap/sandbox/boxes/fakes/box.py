"""What every fake program uses of its box: paths of its tree, facts of its machine, requests to the sandbox."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

#: The box's tree; empty in a box with namespaces, which has a root of its own.
ROOT = os.environ.get("SANDBOX_ROOT", "")
HAS_NAMESPACES = not ROOT


def place(path: str) -> Path:
    """Return a path of the box as this process must use it."""
    if HAS_NAMESPACES or path.startswith(ROOT):
        return Path(path)
    return Path(ROOT + path)


def box_path(path: str) -> str:
    """Return the path inside the box of a path that `place` returned."""
    if ROOT and path.startswith(ROOT):
        return path[len(ROOT) :] or "/"
    return path


def facts(name: str):
    """Return a document that the sandbox has written for the box."""
    return json.loads(place("/run/sandbox/" + name).read_text())


def words(arguments: list[str]) -> list[str]:
    """Return the arguments that are not options."""
    return [word for word in arguments if not word.startswith("-")]


def request(action: str) -> None:
    """Send a request to the sandbox, which reads this pipe."""
    with place("/run/sandbox/control").open("w") as control:
        control.write(action + "\n")


def say(*lines: str) -> None:
    """Write lines to standard output."""
    for line in lines:
        sys.stdout.write(line + "\n")


def complain(*lines: str, status: int = 1) -> int:
    """Write lines to standard error; return the exit status of a failure."""
    for line in lines:
        sys.stderr.write(line + "\n")
    return status
