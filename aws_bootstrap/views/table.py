"""What a table is: records of one type under headings. Each result's tables are registered on `tables`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import singledispatch
from operator import attrgetter
from typing import Any

from ..models import Result

#: Headings by field name; dots reach into facts.
Columns = dict[str, str]


@dataclass(frozen=True)
class Table:
    """Records of one type under headings."""

    columns: Columns
    rows: Iterable[Any]

    def cells(self) -> list[list[str]]:
        """Return the text of each cell, row by row."""
        cells: list[list[str]] = []
        for row in self.rows:
            cells.append([_cell(_field(row, name)) for name in self.columns])
        return cells


def _field(row: Any, name: str) -> Any:
    """Return the row's value of that name: of a tuple its item of that number, of a fact its field (dots reach in)."""
    if isinstance(row, tuple):
        return row[int(name)]
    return attrgetter(name)(row)


def _cell(value: Any) -> str:
    """Return the value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join([str(item) for item in value])
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


@singledispatch
def tables(result: Result) -> list[Table]:
    """Return the tables of this result, to be shown one below the other; none where its keys and values are shown."""
    return []
