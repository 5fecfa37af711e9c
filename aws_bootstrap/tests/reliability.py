"""The parts of docs/reliability.md, each written by the tier that measured it: `put_part(name, text)`.

No generator: the matrix and the mutants call it at the end of a run, with figures that only the run has.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
_HEAD = """\
# Reliability

This page has the results of the fault and mutation tests. Each part is written by the check that measured it, and names
it. Nothing here is edited by hand.
"""


def put_part(name: str, text: str, to: Path = PAGE) -> None:
    """Replace the part of that name in the page, or add it at the end."""
    page = to.read_text() if to.exists() else _HEAD
    begin, end = f"<!-- part: {name} -->", f"<!-- end: {name} -->"
    part = f"{begin}\n\n{text.strip()}\n\n{end}"
    there = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not there.search(page):
        page = f"{page.rstrip()}\n\n{part}\n"
    to.write_text(there.sub(lambda _: part, page))


def commit() -> str:
    """The commit that is checked out, short; with `+` where files differ from it."""
    sha = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/reliability.md")
    return f"{sha}+" if changed else sha


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
