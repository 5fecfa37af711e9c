"""journalctl: what the units of the box have written. Each unit has a file of its own."""

from __future__ import annotations

import sys
import time

import box
import services

_FOLLOW_SECONDS = 0.1


def journalctl(program: str, arguments: list[str]) -> int:
    """Print the logs of the units of `journalctl -u UNIT`, the last `-n` lines of each; with `-f` go on."""
    units, lines, follows = _parsed(arguments)
    read: dict[str, int] = {}
    for name in units:
        text = _text(name)
        read[name] = len(text)
        kept = text.rstrip().splitlines()
        if lines is not None:
            kept = kept[max(0, len(kept) - lines) :]
        box.say(*(kept or ["-- No entries --"]))
    while follows:
        sys.stdout.flush()
        time.sleep(_FOLLOW_SECONDS)
        for name in units:
            text = _text(name)
            sys.stdout.write(text[read[name] :])
            read[name] = len(text)
    return 0


def _parsed(arguments: list[str]) -> tuple[list[str], int | None, bool]:
    """Return the units, how many lines (None: all), and whether to follow."""
    units: list[str] = []
    lines: int | None = None
    for number, word in enumerate(arguments[1:]):
        if arguments[number] in ("-u", "--unit"):
            units.append(word.removesuffix(".service"))
        elif arguments[number] in ("-n", "--lines") and word.isdigit():
            lines = int(word)
    return units, lines, "-f" in arguments


def _text(name: str) -> str:
    """Return what a unit has written."""
    log = box.place(f"{services.JOURNAL}/{name}.log")
    if not log.exists():
        return ""
    return log.read_text(errors="replace")
