"""The words of the field: what the program, its scripts and its pages must not say, and what they say instead.

The glossary is in docs/architecture.md. Words are looked for everywhere a reader meets them: help, messages, names,
docstrings, comments, scripts and pages. Error codes, option names and JSON keys are the program's API and stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import aws_bootstrap

PACKAGE = Path(aws_bootstrap.__file__).parent
PROJECT = PACKAGE.parent

INSTEAD = {
    r"told|tells?|telling|untold": "report, show, say which",
    r"mend(s|ed|ing)?": "fix",
    r"doom(s|ed)?": "to delete, to terminate",
    r"wish(es)?": "options, settings",
    r"let(s|ting)?[ _]in": "allow, allowed",
    r"kinds?": "instance type, resource type, error class, family",
    r"wanted": "requested, required",
    r"asked": "requested, called, queried, prompted",
    r"made": "created, generated, built",
    r"gone": "deleted, terminated, missing, no longer exists",
    r"just now": "right now, or nothing",
    r"patience": "timeout, with what it limits",
    r"ours": "created by this tool, yours",
    r"went away": "closed, ended",
    r"stands?|stood": "is, exists, is written",
    r"rooms?": "module, layer; capacity",
    r"befalls?|befell": "happens to, applies",
    r"brings?|bringing": "pass, attach, install",
    r"please": "nothing: say what to do",
    r"doors?": "module, interface",
}
"""A banned word, as a pattern, and the words of the field for it."""

#: Words that are keys of another program (VSCode's schema of tasks), and of AWS's own sentences.
FOREIGN_KEYS = (
    '"kind": "build"',
    "connection_made",
    "please allow up to 4 hours",
    "please let us know",
    "Please specify a subnet",
)


def texts() -> list[Path]:
    """Return every file a reader of the program meets, its tests left out."""
    tests = PACKAGE / "tests"
    found = [path for path in PACKAGE.rglob("*") if tests not in path.parents and path.is_file()]
    found += [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("aws-bootstrap-skill/**/*.md")]
    return sorted(path for path in found if "__pycache__" not in path.parts and path.suffix != ".pyc")


def banned_words(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the number of a line, the banned word on it, and what to say instead. `_` parts words as a space does."""
    for key in FOREIGN_KEYS:
        text = text.replace(key, "")
    for pattern, instead in INSTEAD.items():
        for match in re.finditer(rf"(?<![A-Za-z])({pattern})(?![A-Za-z])", text, re.IGNORECASE):
            yield text.count("\n", 0, match.start()) + 1, match.group(), instead


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_speaks_the_fields_words(path: Path) -> None:
    found = [f"line {line}: '{word}': say {instead}" for line, word, instead in banned_words(path.read_text("utf-8"))]
    assert not found


def test_a_banned_word_is_found_in_names_and_over_case() -> None:
    found = [word for _, word, _ in banned_words("def _is_told(): ...\nMend it, lets_in(kinds)\nmade\n")]
    assert sorted(found) == ["Mend", "kinds", "lets_in", "made", "told"]


def test_longer_words_are_left_alone() -> None:
    assert not list(banned_words("recommend mankind standard handmade outlet in stderr foretell mushrooms"))
