"""Generate the README's terminal picture by running the program in a sandbox.

    python docs/make/picture.py

writes docs/terminal.svg. No test compares it: drawing it takes a whole launch. What differs from run to run (ids,
addresses, times, prices) is replaced by placeholders.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.programs import Program

FILE = Path(__file__).parents[2] / "docs" / "terminal.svg"
WIDTH = 100

#: What replaces a part that differs from run to run, by the pattern that finds it.
STEADY = {
    r"i-[0-9a-f]{17}": "i-0123456789abcdef0",
    r"\b127(\.\d+){3}": "203.0.113.7",
    r"is ready after .*": "is ready",
    r"Up( +).* at \$[\d.]+/h": r"Up\g<1>1 h 0 min, about $0.16 at $0.1578/h",
    r"aws-bootstrap --sandbox": "aws-bootstrap",
    r"ssh -F \S+": "ssh",
}


def picture() -> str:
    """Return the picture of a launch, a status and a terminate."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(Path(folder) / "sandbox") as sandbox:
        program = Program(sandbox)
        shown = [("launch",), ("status", "--no-instructions"), ("terminate", "aws-gpu1", "--yes")]
        screens = [f"$ aws-bootstrap {' '.join(words)}\n{program(*words).out}" for words in shown]
    return drawn(steady("\n".join(screens)))


def steady(text: str) -> str:
    """Return the text without what differs from run to run."""
    for pattern, instead in STEADY.items():
        text = re.sub(pattern, instead, text)
    return text.strip()


def drawn(text: str) -> str:
    """Return the text as an SVG. Fonts are the reader's own, so that nothing is fetched."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        styled = Text(text)
        styled.highlight_regex(r"(?m)^\$ .*", "bold green")
        styled.highlight_regex(r"(?m)^aws-gpu\d+ .*", "bold")
        console.print(styled, highlight=False)
        svg = console.export_svg(title="aws-bootstrap", unique_id="terminal")
    without_fonts = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)
    return "\n".join(line.rstrip() for line in without_fonts.splitlines()) + "\n"


if __name__ == "__main__":
    FILE.write_text(picture())
