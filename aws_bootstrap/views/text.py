"""The one question every view answers, and the pieces that views share."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from functools import singledispatch

from click import style, unstyle

from ..command_lines import shell_line
from ..models import AccessReport, CleanupPlan, CleanupReport, ClusterList, Command, CostReport, Result, StatusReport

#: Of sentences.
_LONGEST_LINE = 110
_NO_TERMINAL = 1000


@singledispatch
def text(result: Result) -> str:
    """Return what a person sees of this result."""
    raise NotImplementedError(f"{type(result).__name__} has no text view")


def heading(title: str, colour: str = "green") -> str:
    """Return a line that heads what follows."""
    return style(title, fg=colour, bold=True)


def pairs(facts: Iterable[tuple[str, str | None]], indent: str = "  ") -> list[str]:
    """Return aligned lines of name and value; what is unknown is left out."""
    known = [(name, value) for name, value in facts if value]
    width = 0
    for name, _ in known:
        width = max(width, len(name))
    lines: list[str] = []
    for name, value in known:
        label = style(name.ljust(width), dim=True)
        lines.append(f"{indent}{label}  {value}")
    return lines


def aligned(
    rows: Iterable[Sequence[str]], indent: str = "  ", right: Iterable[int] = (), *, widest: int | None = None
) -> list[str]:
    """Return lines of aligned cells, styled or not; the columns numbered in `right` end flush.

    A cell of more than `widest` columns moves what is right of it, instead of all lines.
    """
    cells = list(rows)
    widths = [_width(column) for column in zip(*cells, strict=True)]
    if widest is not None:
        widths = [min(width, widest) for width in widths]
    flush = set(right)
    lines: list[str] = []
    for row in cells:
        padded: list[str] = []
        for number, cell in enumerate(row):
            padded.append(_pad(cell, widths[number], at_right=number in flush))
        lines.append(indent + "  ".join(padded).rstrip())
    return lines


def _width(column: Sequence[str]) -> int:
    """Return the width of the widest cell, as it is seen."""
    return max(len(unstyle(cell)) for cell in column)


def _pad(cell: str, width: int, *, at_right: bool) -> str:
    space = " " * (width - len(unstyle(cell)))
    if at_right:
        return space + cell
    return cell + space


def command(words: str) -> str:
    """Return a command to copy."""
    return style(words, fg="cyan")


def paragraph(words: str) -> str:
    """Return sentences as lines that fit the terminal, and that one can read where it is wide."""
    width = min(_LONGEST_LINE, terminal_columns())
    return "\n".join(textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False))


def terminal_columns() -> int:
    """Return how wide the terminal is; of a pipe or a file, more than any line needs."""
    return shutil.get_terminal_size((_NO_TERMINAL, 24)).columns


def titled(commands: Iterable[Command]) -> list[tuple[str, str]]:
    """Return each command to copy beside its title, for `pairs`."""
    return [(one.title, command(shell_line(one.argv))) for one in commands]


def next_lines(commands: Iterable[Command]) -> str:
    """Return what to type next: each command below its title, on a line of its own, so that it fits and copies."""
    return "\n".join(f"{title}:\n  {words}" for title, words in titled(commands))


def regions_read(
    result: StatusReport | CostReport | AccessReport | CleanupPlan | CleanupReport | ClusterList,
) -> int:
    """Return how many regions were read."""
    return len(result.regions_queried) - len(result.regions_failed) - len(result.regions_denied)


def span(seconds: float) -> str:
    """Return a duration as a person says it: `42 s`, `3 min`, `5 h 12 min`, `2 d 3 h`."""
    total = int(seconds)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 1:
        return f"{total} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def other_owner(owner: str | None, yours: bool | None) -> str:
    """Return whose something is, as shown where that is not the caller; empty where it is."""
    if yours:
        return ""
    if owner is None:
        return "nobody (created before owners were recorded)"
    if yours is None:
        return f"{owner} (you or another)"
    return owner


def usd(amount: float) -> str:
    """Return an amount of money: cents, and four decimals where cents would hide it."""
    if amount >= 1:
        return f"${amount:.2f}"
    if amount == 0:
        return "$0"
    cents, rest = f"{amount:.4f}"[:-2], f"{amount:.4f}"[-2:]
    return f"${cents}{rest.rstrip('0')}"


def plural(count: int, noun: str, several: str | None = None) -> str:
    """Return `1 instance`, `2 instances`; nouns like alias name their plural."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {several or f'{noun}s'}"
