"""A pytest plugin that writes down which lines of the package each test runs, in its programs too.

One JSON document a line: test, seconds, and lines by file. `site/sitecustomize.py` does the watching.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sitecustomize

_folder = Path(os.environ["MUTANTS_RECORDS"])
_lines: set[tuple[str, int]] = set()


def pytest_configure() -> None:
    """Watch this process."""
    sitecustomize.watch(lambda file, line: _lines.add((file, line)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what runs from the test's setup to its teardown."""
    notes = _folder / f"notes.{os.getpid()}"
    notes.write_text("")
    os.environ["MUTANTS_NOTES"] = str(notes)
    _lines.clear()
    sys.monitoring.restart_events()
    began = time.monotonic()
    result = yield
    seconds = time.monotonic() - began
    for line in notes.read_text().splitlines():
        name, _, digits = line.rpartition(":")
        _lines.add((name, int(digits)))
    by_file: dict[str, list[int]] = {}
    for file, number in sorted(_lines):
        by_file.setdefault(file, []).append(number)
    with (_folder / f"records.{os.getpid()}").open("a") as records:
        records.write(json.dumps({"test": item.nodeid, "seconds": round(seconds, 2), "lines": by_file}) + "\n")
    return result
