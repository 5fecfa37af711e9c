"""What every fake program uses of its box: paths of its tree, facts of its machine, requests to the sandbox."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

#: The box's tree; empty in a box with namespaces, which has a root of its own.
ROOT = os.environ.get("SANDBOX_ROOT", "")
HAS_NAMESPACES = not ROOT
#: Why a plain box refuses the guardian.
NO_GUARDIAN = (
    "The guardian runs only in a box with namespaces: here it would act on this machine's processes. "
    "Nothing ends this box by itself."
)


def path_of(path: str) -> str:
    """Return a path of the box as this process must use it."""
    if HAS_NAMESPACES or path.startswith(ROOT):
        return path
    return ROOT + path


def place(path: str) -> Path:
    """Return the same as a Path, which takes longer to import than Python to start."""
    from pathlib import Path

    return Path(path_of(path))


def find_program(name: str, folders: str) -> str | None:
    """Return the program's path in the first of these folders that has it, separated as in PATH; None without one."""
    for folder in folders.split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def box_path(path: str) -> str:
    """Return the path inside the box of a path that `place` returned."""
    if ROOT and path.startswith(ROOT):
        return path[len(ROOT) :] or "/"
    return path


def facts(name: str):
    """Return a document that the sandbox has written for the box."""
    import json

    return json.loads(place("/run/sandbox/" + name).read_text())


def words(arguments: list[str]) -> list[str]:
    """Return the arguments that are not options."""
    return [word for word in arguments if not word.startswith("-")]


def request(action: str) -> None:
    """Send a request to the sandbox, which reads this pipe."""
    with open(path_of("/run/sandbox/control"), "w") as control:
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
