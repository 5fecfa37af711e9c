"""Where the time of a command went, as a small waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from click import style

from ..models import Timing
from .text import aligned, heading

#: Characters of the longest bar.
_WIDTH = 32


@dataclass
class _Row:
    """Timings of one name that were under way at the same time: calls to several regions, say."""

    what: str
    name: str
    start: float
    end: float
    members: list[Timing]

    @property
    def title(self) -> str:
        """Return the name; with their number and the slowest region where there are several."""
        if len(self.members) == 1:
            region = self.members[0].region
            return f"{self.name} {region}" if region else self.name
        title = f"{self.name} ×{len(self.members)}"
        slowest = max(self.members, key=_seconds)
        if slowest.region:
            title += f" (slowest: {slowest.region}, {slowest.seconds:.2f} s)"
        return title


def waterfall(timings: Sequence[Timing]) -> str:
    """Return a line for each timing, in the order in which they began, with its bar on a common scale.

    Calls of one name that overlap share a line.
    """
    if not timings:
        return heading("Timings: nothing was measured", "cyan")
    rows = _rows(timings)
    whole = max(row.end for row in rows)
    lines = [heading(f"Timings, {whole:.2f} s in all", "cyan")]
    cells: list[tuple[str, str, str, str, str]] = []
    for row in rows:
        seconds = f"{row.end - row.start:.2f}"
        cells.append((f"{row.start:.2f}", seconds, _bar(row, whole), row.what, row.title))
    header = ("start", "s", "", "", "")
    return "\n".join([*lines, *aligned([header, *cells], right=(0, 1))])


def _rows(timings: Sequence[Timing]) -> list[_Row]:
    """Return the timings by what they measure; those that overlap and have one name together."""
    rows: list[_Row] = []
    #: The last row of each name.
    last: dict[tuple[str, str], _Row] = {}
    for timing in timings:
        end = timing.start + timing.seconds
        row = last.get((timing.what, timing.name))
        if row is not None and timing.start < row.end:
            row.members.append(timing)
            row.end = max(row.end, end)
            continue
        row = _Row(timing.what, timing.name, timing.start, end, [timing])
        last[timing.what, timing.name] = row
        rows.append(row)
    return rows


def _bar(row: _Row, whole: float) -> str:
    """Return the row's bar: at least one mark, where it began."""
    scale = _WIDTH / whole if whole else 0.0
    before = min(int(row.start * scale), _WIDTH - 1)
    length = max(1, round((row.end - row.start) * scale))
    length = min(length, _WIDTH - before)
    bar = style("█" * length, fg="cyan")
    return " " * before + bar + " " * (_WIDTH - before - length)


def _seconds(timing: Timing) -> float:
    return timing.seconds
