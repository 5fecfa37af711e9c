"""Notes which lines of the package run in this process. On the path only while `.ci/mutants` records.

Python imports it at every start, so that programs which a test starts are noted too. What a killed one ran is noted
as well: each line is written as it is met.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from types import CodeType

TOOL = sys.monitoring.COVERAGE_ID
_PACKAGE = os.environ.get("MUTANTS_PACKAGE", "")


def watch(note: Callable[[str, int], None]) -> None:
    """Call `note(file, line)` the first time that each line of the package runs; again after `restart_events`."""

    def on_line(code: CodeType, line: int) -> object:
        name = code.co_filename
        if name.startswith(_PACKAGE) and "/tests/" not in name and "/sandbox/" not in name:
            note(name[len(_PACKAGE) :], line)
        return sys.monitoring.DISABLE

    sys.monitoring.use_tool_id(TOOL, "mutants")
    sys.monitoring.register_callback(TOOL, sys.monitoring.events.LINE, on_line)
    sys.monitoring.set_events(TOOL, sys.monitoring.events.LINE)


def _start() -> None:
    notes = os.open(os.environ["MUTANTS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(file: str, line: int) -> None:
        with contextlib.suppress(OSError):  # a test may run its program where nothing can be written
            os.write(notes, f"{file}:{line}\n".encode())

    watch(note)


if _PACKAGE and os.environ.get("MUTANTS_NOTES"):
    _start()
