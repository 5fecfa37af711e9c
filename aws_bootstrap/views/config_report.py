"""The config files, and the values in force."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..models import ConfigChange, ConfigFile, ConfigReport, ConfigTrust, ConfigValue
from ..models.config_report import Value
from ..next_config import next_commands
from .table import Table, tables
from .text import aligned, heading, next_lines, pairs, text

#: A path moves its own origin to the right, not those of all values.
_LONGEST_CELL = 20
_ORIGINS = {"project-file": "project file", "user-file": "user file"}


@text.register
def config_report(report: ConfigReport) -> str:
    """Return the files, then each value with its origin."""
    lines = [heading("Config files"), *pairs([(file.scope, _state(file)) for file in report.files]), ""]
    lines.append(heading("Values in force"))
    lines += _rows(report.values) or ["  (every value is its default)"]
    if not report.is_whole:
        lines.append("  Everything else has its default.")
    commands = next_commands(report)
    if commands:
        lines += ["", next_lines(commands)]
    return "\n".join(lines)


def _state(file: ConfigFile) -> str:
    if file.state == "used":
        return file.path
    return f"{file.path}  ({file.state}{': ' + file.reason if file.reason else ''})"


def _rows(values: Iterable[ConfigValue]) -> list[str]:
    """Return a line for each value."""
    rows: list[list[str]] = []
    for value in values:
        source = value.source or ""
        if value.origin in _ORIGINS:  # its path is above
            source = source.rpartition(", ")[2]
        rows.append([value.key, shown(value.value), _ORIGINS.get(value.origin, value.origin), source])
    if not rows:
        return []
    return aligned(rows, widest=_LONGEST_CELL)


def shown(value: Value) -> str:
    """Return a value as a person reads it, in ASCII: nothing in it changes the terminal, or hides the rest."""
    if value is None:
        return "-"
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    return json.dumps(value)


@text.register
def config_change(change: ConfigChange) -> str:
    """Return what was written where."""
    lines: list[str] = []
    if change.created:
        lines.append(f"{change.path} was created.")
    if change.key:
        lines.append(f"{change.key} = {json.dumps(change.value)}  in {change.path}{_before(change)}")
    if change.trusted is False:
        lines.append("The file is not trusted, so it is ignored until you trust it.")
    commands = next_commands(change)
    if commands:
        lines.append(next_lines(commands))
    return "\n".join(lines)


def _before(change: ConfigChange) -> str:
    if change.previous is None:
        return ""
    return f"  (before: {json.dumps(change.previous)})"


@text.register
def config_trust(report: ConfigTrust) -> str:
    """Return whether the project file is trusted now."""
    if not report.trusted:
        return f"{report.path} is not trusted: nothing was changed."
    lines = [f"{report.path} is trusted until it changes. It sets:", *_keys(report)]
    return "\n".join([*lines, next_lines(next_commands(report))])


def project_keys(report: ConfigTrust) -> str:
    """Return the question for trust, below the keys of the file."""
    return "\n".join([f"{report.path} sets:", *_keys(report), "Trust this file, until it changes?"])


def _keys(report: ConfigTrust) -> list[str]:
    """Return a line for each key of the file."""
    rows: list[list[str]] = []
    for value in report.values:
        rows.append([value.key, json.dumps(value.value)])
    if not rows:
        return ["  (nothing)"]
    return list(aligned(rows))


@tables.register
def _report_tables(report: ConfigReport) -> list[Table]:
    files = {"scope": "File", "path": "Path", "state": "State"}
    values = {"key": "Key", "value": "Value", "origin": "Origin", "source": "Source"}
    return [Table(files, report.files), Table(values, report.values)]
