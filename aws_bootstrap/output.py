"""One result, many formats: the only place that knows formats, and the only door to the terminal.

Results go to stdout, everything else to stderr. Progress is silent unless the format is text.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from .errors import BootstrapError
from .models import Notice, Result, document

if TYPE_CHECKING:
    from .views.tables import Table


class OutputFormat(StrEnum):
    """How a result is shown."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    TABLE = "table"


_format = OutputFormat.TEXT
"""One command runs in a process, and its threads must agree: a module's variable, set by `cli`."""
_is_told = False
"""Whether a document stands on stdout already: a signal that comes now must not add a second one."""


_warnings: list[Notice] = []
"""What was warned of so far: every result carries it."""


def use_format(wanted: OutputFormat) -> None:
    """Show results in this format from now on, beginning with the first."""
    global _format, _is_told
    _format, _is_told = wanted, False
    _warnings.clear()


def format_named(word: str) -> OutputFormat | None:
    """Return the format of that name, in any case; None if there is no such format."""
    name = word.lower()
    if name not in list(OutputFormat):
        return None
    return OutputFormat(name)


def is_text(ctx: click.Context | None = None) -> bool:
    """Return whether a person reads along. The format is the process's, so every context gives the same answer."""
    return _format is OutputFormat.TEXT


# --- results ---------------------------------------------------------------------------------------------


def as_text(result: Result) -> str:
    """Return what a person sees."""
    from .views import text

    return text(result)


def as_json(result: Result) -> str:
    """Return one JSON document."""
    return _json(result.to_dict())


def as_yaml(result: Result) -> str:
    """Return one YAML document."""
    return _yaml(result.to_dict())


def as_table(result: Result) -> str:
    """Return tables of the result's records, or of its keys and values."""
    from .views.tables import Table, tables

    shown = tables(result)
    if not shown:
        rows = list(_rows(result.to_dict()))
        return _tabulated(Table({"0": "Key", "1": "Value"}, rows))
    if result.warnings:
        shown.append(Table({"code": "Warning", "region": "Region", "message": "What"}, result.warnings))
    return "\n\n".join([_tabulated(table) for table in shown])


def _rows(known: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a document's keys and values, each as a row of its own: those of an object inside it as `object.key`."""
    for key, value in known.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _rows(value, f"{name}.")
        elif not isinstance(value, list):
            yield name, value
        elif value:
            yield name, "\n".join([_line(item) for item in value])


def _line(item: Any) -> str:
    """Return an item of a list on one line; of an object its values."""
    if isinstance(item, dict):
        return ": ".join([str(value) for value in item.values()])
    return str(item)


# To add a format, write a function and add it here.
RENDERERS: dict[OutputFormat, Callable[[Any], str]] = {
    OutputFormat.TEXT: as_text,
    OutputFormat.JSON: as_json,
    OutputFormat.YAML: as_yaml,
    OutputFormat.TABLE: as_table,
}


def emit(result: Result) -> None:
    """Show a result on stdout, in the format chosen. Raises OSError where stdout cannot be written."""
    _out(RENDERERS[_format](with_warnings(result)))


def with_warnings(result: Result) -> Result:
    """Return the result, with what was warned of so far among its warnings, each once."""
    warnings: list[Notice] = []
    for warning in [*result.warnings, *_warnings]:
        if warning not in warnings:
            warnings.append(warning)
    return replace(result, warnings=tuple(warnings))


def emit_error(error: BootstrapError) -> None:
    """Show a failure: on stderr for a person; in json and yaml also as one document on stdout, with what is known.

    stderr comes first: what exists must be told even where stdout cannot be written. Raises OSError there.
    """
    result = error.result
    _explain(error)
    if _is_told:
        return
    if _format in (OutputFormat.JSON, OutputFormat.YAML):
        known: Any = {}
        if result is not None:
            known = with_warnings(result).to_dict()
        _out(_serialized(_with_error(known, error)))
    elif result is not None:
        emit(result)


def _with_error(known: Any, error: BootstrapError) -> Any:
    """Return what is known, with the error in it; a bare list has no room for one, so stderr and the exit code tell."""
    if isinstance(known, list):
        return known
    return {**known, "error": document(error.report)}


def _serialized(value: Any) -> str:
    """Return the document in the format chosen: JSON or YAML."""
    if _format is OutputFormat.JSON:
        return _json(value)
    return _yaml(value)


def _explain(error: BootstrapError) -> None:
    """Show a person the error, the attempts that failed, what exists and what helps."""
    report = error.report
    live("")
    _err(click.style(f"Error: {error}", fg="red"))
    for failed in report.regions:
        attempt = [word for word in (failed.region, failed.instance_type, failed.market) if word]
        _err(f"  {' '.join(attempt)}: {failed.reason}")
    if report.resources:
        _err("What exists because of this command:")
    for resource in report.resources:
        line = f"  {resource.type} {resource.id} in {resource.region}"
        if resource.billing:
            line += click.style("  (billing)", fg="yellow")
        _err(line)
    if report.hint:
        _err(report.hint)


def drop_stdout() -> None:
    """Nobody reads stdout: have the interpreter's own last flush not complain about it."""
    if sys.stdout is None:
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def debug(exc: BaseException) -> None:
    """Show the traceback, on stderr."""
    _err("".join(traceback.format_exception(exc)))


def prompt(text: str) -> None:
    """Show a question to a person, on stderr, and leave the cursor behind it."""
    _err(text, nl=False)


def show_help(text: str) -> None:
    """Show a help page to somebody who did not ask for one, on stderr."""
    _err(text)


_secrets: Callable[[], tuple[str, ...]] = tuple


def hide_by(secrets: Callable[[], tuple[str, ...]]) -> None:
    """Show nothing of what this returns, asked at each print: AWS's answers may repeat the session token."""
    global _secrets
    _secrets = secrets


def _without_secrets(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, "***")
    return text


def _out(text: str) -> None:
    """Write to stdout. An empty text view is nothing, not an empty line. Raises OSError if it cannot be written."""
    global _is_told
    if not text:
        return
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    click.echo(_showable(_without_secrets(text)), color=_color())
    _is_told = True


def _err(text: str, *, nl: bool = True) -> None:
    """Write to stderr. A reader that went away must never end work in the account, so that is not an error."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(_without_secrets(text), err=True, nl=nl, color=_color())


def _fits_stdout(text: str) -> bool:
    """Return whether stdout's encoding knows every character of the text: a terminal of another age knows few."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _showable(text: str) -> str:
    """Return the text with escapes for what stdout cannot encode."""
    if _fits_stdout(text):
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _color() -> bool | None:
    """Return False where NO_COLOR asks for none (https://no-color.org).

    None: Click looks whether it writes to a terminal.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return None


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not _fits_stdout(text):
        text = json.dumps(value, indent=2)
    return text


def _yaml(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if not _fits_stdout(text):
        text = yaml.safe_dump(value, sort_keys=False)
    return text.rstrip()


def _tabulated(table: Table) -> str:
    from tabulate import tabulate

    rows = table.cells()
    if not rows:
        return "(none)"
    return tabulate(rows, headers=list(table.columns.values()), disable_numparse=True)


# --- progress --------------------------------------------------------------------------------------------


def echo(message: str = "") -> None:
    """Tell a person something, on stderr."""
    if is_text():
        _err(message)


def secho(message: str, **style: Any) -> None:
    """Tell a person something in colour, on stderr."""
    if is_text():
        _err(click.style(message, **style))


def step(number: int, total: int, title: str) -> None:
    """Announce a step."""
    secho(f"[{number}/{total}] {title}", fg="cyan", bold=True)


def info(message: str) -> None:
    """Tell what is going on inside a step."""
    echo(f"      {message}")


class Heartbeat:
    """Tells when a line is due in a log: at once, then once every so many seconds."""

    def __init__(self, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._last: float | None = None

    def is_due(self) -> bool:
        """Return whether it is time for a line; if so, the next one is due after the whole time."""
        now = self._clock()
        if self._last is not None and now - self._last < self._every:
            return False
        self._last = now
        return True


_live_line = ""
_heartbeat = Heartbeat(60.0)
"""For a stderr that keeps every line: a log must show that something goes on, not every second of it."""


def live(message: str) -> None:
    """Show what is going on right now, in place of the last such line; empty ends it. A log gets a line a minute."""
    global _live_line
    if not is_text() or sys.stderr is None:
        return
    if not sys.stderr.isatty():
        if message and _heartbeat.is_due():
            info(message)
    elif message or _live_line:
        width = shutil.get_terminal_size().columns - 1
        _err("\r\x1b[K" + message[:width], nl=False)
        _live_line = message


def val(name: str, value: str) -> None:
    """Tell one fact."""
    echo(f"      {name}: {click.style(value, bold=True)}")


def success(message: str) -> None:
    """Tell that something worked."""
    secho(f"      {message}", fg="green")


def warn(message: str, *, code: str = "warning", instance_id: str | None = None, region: str | None = None) -> None:
    """Tell that something is not as it should be: a person at once, a script in the result's warnings.

    `code` is a word of docs/errors.md.
    """
    _warnings.append(Notice(code, message, instance_id, region))
    live("")
    secho(f"Warning: {message}", fg="yellow")
