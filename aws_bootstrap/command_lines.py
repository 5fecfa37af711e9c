"""Commands as words and as lines: to write one for a person to copy, and to find those that a hint names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from .invocation import MARKS, PROFILE, PROGRAM, SSH
from .models import Command

#: Where a command begins in a line of a hint. It ends with the line, or at two spaces.
_IN_HINT = re.compile(rf"({re.escape(PROGRAM)}|{re.escape(SSH)}|(?:(?<=: )|^)aws )(.*?)(?:  |$)", re.MULTILINE)
#: Words in place of which the reader writes his own: such a command does not run as it is.
_TO_FILL_IN = ("ID", "PATH.pub", "SNAPSHOT", "SUBNET", "ZONE")


def own(title: str, *words: str, do: str | None = None) -> Command:
    """Return a command of this program; its purpose is the subcommand's name unless another is given."""
    name = words[0]
    if name in ("cluster", "config", "list", "quota", "volume"):
        name = f"{words[0]}-{words[1]}"
    return Command(do or name, (PROGRAM, *words), title)


def shell_line(argv: Iterable[str]) -> str:
    """Return the words as one line for a shell, their marks unchanged."""
    line = " ".join(_quoted(word) for word in argv)
    return line.replace(f" {PROFILE}", PROFILE)  # what replaces that mark has its own space, or is nothing


def _quoted(word: str) -> str:
    if word in MARKS:
        return word
    return shlex.quote(word)


def commands_in(hint: str | None) -> tuple[Command, ...]:
    """Return the commands that an error's hint names and that run as they are, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for start, rest in _IN_HINT.findall(hint or ""):
        words = words_of(rest.replace(PROFILE, f" {PROFILE}"))
        if not words or set(words) & set(_TO_FILL_IN):
            continue
        if start == PROGRAM:
            named = own("", *words)
        else:
            program = start.strip()
            named = Command(program.strip("{}"), (program, *words))
        found.setdefault(named.argv, named)
    return tuple(found.values())


def words_of(line: str) -> list[str]:
    """Return the words of a command line; none for a sentence with an apostrophe, which is no command."""
    try:
        return shlex.split(line)
    except ValueError:
        return []
