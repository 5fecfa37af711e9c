"""What every stand-in knows of its box: where its tree lies, what machine it is, how to ask something of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = os.environ.get("SANDBOX_ROOT", "")
"""The box's tree: empty where the box has a root of its own."""
APART = not ROOT


def place(path: str) -> Path:
    """Where a path of the box lies."""
    return Path(path) if APART or path.startswith(ROOT) else Path(ROOT + path)


def own(path: str) -> str:
    """The box's name for a path."""
    return path[len(ROOT) :] or "/" if ROOT and path.startswith(ROOT) else path


def facts(name: str):
    """A document that the sandbox keeps for the box."""
    return json.loads(place("/run/sandbox/" + name).read_text())


def ask(what: str) -> None:
    """Asks something of the machine: the sandbox reads this pipe."""
    with place("/run/sandbox/control").open("w") as control:
        control.write(what + "\n")


def say(*lines: str) -> None:
    """Writes lines to standard output."""
    sys.stdout.write("".join(line + "\n" for line in lines))


def complain(*lines: str) -> int:
    """Writes lines to standard error; the exit status of a failure comes back."""
    sys.stderr.write("".join(line + "\n" for line in lines))
    return 1
