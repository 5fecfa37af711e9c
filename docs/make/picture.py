"""Generate the README's terminal picture by running the program in a sandbox.

    python docs/make/picture.py

writes docs/terminal.svg. No test compares it: drawing it takes a whole launch. What differs from run to run (ids,
addresses, times, prices) is replaced by placeholders.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.terminal import run_at_terminal

FILE = Path(__file__).parents[2] / "docs" / "terminal.svg"
WIDTH = 100
SHOWN = (("launch", "--ttl", "8h"), ("status",), ("terminate", "aws-gpu1", "--yes"))

#: What replaces a part that differs from run to run, by the pattern that finds it.
STEADY = {
    r"i-[0-9a-f]{17}": "i-0123456789abcdef0",
    r"\b127(\.\d+){3}": "203.0.113.7",
    r"is ready after .*": "is ready",
    r"running(.*)  \d+ s  about": r"running\g<1>  2 h 5 min  about",
    r"aws-bootstrap --sandbox": "aws-bootstrap",
    r"ssh -F \S+": "ssh",
    r"\S+/sandbox/id_ed25519": "~/.ssh/id_ed25519",
    r"port 2222": "port 22",
    r"at 20[-\d: ]+ UTC, in": "at 2026-01-15 18:30 UTC, in",
}


def picture() -> str:
    """Return the picture of a launch, a status and a terminate."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(Path(folder) / "sandbox") as sandbox:
        screens = [_screen(words, sandbox) for words in SHOWN]
    return drawn(Text("\n").join(screens))


def _screen(words: Sequence[str], sandbox: Sandbox) -> Text:
    """Return what a command leaves on the terminal, its line above it."""
    _, terminal = run_at_terminal(words, sandbox.env, columns=WIDTH)
    lines = [Text(f"$ aws-bootstrap {' '.join(words)}", style="bold green")]
    for row in terminal.rows():
        lines.append(steady(_styled(row)))
    while not lines[-1].plain:
        lines.pop()
    return Text("\n").join([*lines, Text()])


def _styled(row: Mapping[int, Any]) -> Text:
    """Return a row of the terminal, with its colours."""
    line = Text()
    characters = [row[column] for column in range(WIDTH)]
    for (colour, bold), same in groupby(characters, key=attrgetter("fg", "bold")):
        text = "".join([character.data for character in same])
        line.append(text, Style(color=colour.replace("brown", "yellow"), bold=bold))  # brown: pyte's name of it
    line.rstrip()
    return line


def steady(line: Text) -> Text:
    """Return the line without what differs from run to run."""
    for pattern, instead in STEADY.items():
        match = re.search(pattern, line.plain)
        while match and match.group() != match.expand(instead):
            before, after = line[: match.start()], line[match.end() :]
            line = before.append(match.expand(instead)).append_text(after)
            match = re.search(pattern, line.plain)
    return line


def drawn(text: Text) -> str:
    """Return the text as an SVG. Fonts are the reader's own, so that nothing is fetched."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(text, highlight=False)
        svg = console.export_svg(title="aws-bootstrap", unique_id="terminal")
    without_fonts = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)
    return "\n".join(line.rstrip() for line in without_fonts.splitlines()) + "\n"


if __name__ == "__main__":
    FILE.write_text(picture())
