"""What every stand-in knows of its box: where its tree lies, what machine it is, how to ask something of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

#: The box's tree: empty where the box has a root of its own.
ROOT = os.environ.get("SANDBOX_ROOT", "")
APART = not ROOT


def place(path: str) -> Path:
    """Return where a path of the box is."""
    if APART or path.startswith(ROOT):
        return Path(path)
    return Path(ROOT + path)


def own(path: str) -> str:
    """Return the box's name for a path."""
    if ROOT and path.startswith(ROOT):
        return path[len(ROOT) :] or "/"
    return path


def facts(name: str):
    """Return a document that the sandbox keeps for the box."""
    return json.loads(place("/run/sandbox/" + name).read_text())


def words(arguments: list[str]) -> list[str]:
    """Return the arguments that are not options."""
    return [word for word in arguments if not word.startswith("-")]


def ask(what: str) -> None:
    """Ask something of the machine: the sandbox reads this pipe."""
    with place("/run/sandbox/control").open("w") as control:
        control.write(what + "\n")


def say(*lines: str) -> None:
    """Write lines to standard output."""
    for line in lines:
        sys.stdout.write(line + "\n")


def complain(*lines: str, status: int = 1) -> int:
    """Write lines to standard error; return the exit status of a failure."""
    for line in lines:
        sys.stderr.write(line + "\n")
    return status
