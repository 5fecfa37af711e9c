"""One result, many formats: the only place that knows formats, and progress for the person who waits.

Every function writes to the console of the command that runs: `use` sets it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from . import timings
from .console import Console, OutputFormat, fits_stdout
from .errors import BootstrapError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .live_steps import LiveStep
    from .models import ErrorReport, Notice, RegionReason, Result
    from .views.tables import Table

#: One command runs in a process, and its threads must agree: a module's variable, set by `use`.
_console = Console()


def use(console: Console) -> None:
    """Write to this console from now on."""
    global _console
    _console = console


def format_named(word: str) -> OutputFormat | None:
    """Return the format of that name, in any case; None if there is no such format."""
    name = word.lower()
    if name not in list(OutputFormat):
        return None
    return OutputFormat(name)


def is_text(ctx: click.Context | None = None) -> bool:
    """Return whether a person reads along. The format is the process's, so every context gives the same answer."""
    return _console.is_text


# --- results ---------------------------------------------------------------------------------------------


def as_text(result: Result) -> str:
    """Return what a person sees."""
    from .views import text

    return text(result)


def as_json(result: Result) -> str:
    """Return one JSON document."""
    return _json(_console.filled(_document(result)))


def as_yaml(result: Result) -> str:
    """Return one YAML document."""
    return _yaml(_console.filled(_document(result)))


def _document(result: Result) -> Any:
    """Return the result's document, with the commands to type next."""
    from . import next_clusters, next_config, next_images, next_jobs, next_power, next_runs, next_volumes  # noqa: F401 (they add their commands)
    from .next_commands import next_commands

    return _with(result, next=next_commands(result)).to_dict()


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
    _console.write(RENDERERS[_console.output_format](_with_timings(with_warnings(result))))
    _explain_timings(result)


def _with[T: (Result, ErrorReport)](value: T, **changes: Any) -> T:
    """Return the result or report with these fields changed. Help pages and completion have neither."""
    from dataclasses import replace

    return replace(value, **changes)


def _with_timings(result: Result) -> Result:
    """Return the result with where the time went, if that was recorded."""
    return _with(result, timings=timings.recorded())


def _explain_timings(result: Result) -> None:
    """Show where the time went, if that was recorded: on stderr, where no document has it."""
    from .models.base import Listing

    recorded = timings.recorded()
    has_document = _console.output_format in (OutputFormat.JSON, OutputFormat.YAML)
    if recorded is None or (has_document and not isinstance(result, Listing)):
        return
    from .views.timings import waterfall

    _console.note(waterfall(recorded))


def with_warnings(result: Result) -> Result:
    """Return the result, with what was warned of so far among its warnings, each once."""
    warnings: list[Notice] = []
    for warning in [*result.warnings, *_console.warnings]:
        if warning not in warnings:
            warnings.append(warning)
    return _with(result, warnings=tuple(warnings))


def emit_error(error: BootstrapError) -> None:
    """Show a failure: on stderr for a person; in json and yaml also as one document on stdout, with what is known.

    stderr comes first: what exists must be shown even where stdout cannot be written. Raises OSError there.
    """
    from .models import Result

    result = error.result
    _explain(error)
    if _console.has_document:
        return
    if _console.output_format in (OutputFormat.JSON, OutputFormat.YAML):
        known = _document(_with_timings(with_warnings(result or Result())))
        _console.write(_serialized(_console.filled(_with_error(known, error))))
    elif result is not None:
        emit(result)
    else:
        _explain_timings(Result())


def _with_error(known: Any, error: BootstrapError) -> Any:
    """Return what is known, with the error in it; a bare list holds none, so stderr and the exit code report it."""
    from .command_lines import commands_in
    from .models import document

    if isinstance(known, list):
        return known
    report = _with(error.report, next=commands_in(error.hint))
    return {**known, "error": document(report)}


def _serialized(value: Any) -> str:
    """Return the document in the format chosen: JSON or YAML."""
    if _console.output_format is OutputFormat.JSON:
        return _json(value)
    return _yaml(value)


def _explain(error: BootstrapError) -> None:
    """Show a person the error, the attempts that failed, what exists and what helps."""
    report = error.report
    live("")
    _console.end_steps()
    _console.note(click.style(f"Error: {error}", fg="red"))
    for reason, attempts in _attempts_by_reason(report.regions).items():
        line = f"  {', '.join(attempts)}"
        if reason != str(error):
            line += f": {reason}"
        _console.note(line)
    if report.resources:
        _console.note("What exists because of this command:")
    for resource in report.resources:
        line = f"  {resource.type} {resource.id} in {resource.region}"
        if resource.billing:
            line += click.style("  (billing)", fg="yellow")
        _console.note(line)
    if report.hint:
        _console.note(report.hint)


def _attempts_by_reason(regions: Iterable[RegionReason]) -> dict[str, list[str]]:
    """Return the attempts that failed by their reason, which regions often share: a person reads it once."""
    by_reason: dict[str, list[str]] = {}
    for failed in regions:
        attempt = [word for word in (failed.region, failed.instance_type, failed.market) if word]
        by_reason.setdefault(failed.reason, []).append(" ".join(attempt))
    return by_reason


def debug(exc: BaseException) -> None:
    """Show the traceback, on stderr."""
    import traceback

    _console.note("".join(traceback.format_exception(exc)))


def show_help(text: str) -> None:
    """Show a help page to somebody who did not ask for one, on stderr."""
    _console.note(text)


def _json(value: Any) -> str:
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not fits_stdout(text):
        text = json.dumps(value, indent=2)
    return _REGIONS.sub(_on_one_line, text)


#: The array of regions in a document: a reader need not scroll past 17 lines of names. A string has no line breaks.
_REGIONS = re.compile(r'^  "regions_queried": \[\n[^]]*\]', re.MULTILINE)


def _on_one_line(array: re.Match[str]) -> str:
    words = array.group().split()
    return f"  {' '.join(words)}".replace("[ ", "[").replace(" ]", "]")


def _yaml(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if not fits_stdout(text):
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
    """Show a person a line, on stderr."""
    if is_text():
        _console.note(message)


def secho(message: str, **style: Any) -> None:
    """Show a person a line in colour, on stderr."""
    if is_text():
        _console.note(click.style(message, **style))


def step(number: int, total: int, title: str, *, beside: bool = False) -> LiveStep | None:
    """Announce a step. Return it where it is shown live: `within` needs it.

    `beside`: whether it runs at the same time as the one before, which a terminal shows by itself.
    """
    title = f"[{number}/{total}] {title}"
    begun = _console.begin_step(title)
    if begun is None:
        at_the_same_time = " (at the same time)" if beside else ""
        secho(f"{title}{at_the_same_time}", fg="cyan", bold=True)
    return begun


def within(begun: LiveStep | None) -> AbstractContextManager[None]:
    """Count what the block shows to the step, and show the step's outcome at its end."""
    return _console.within_step(begun)


@contextlib.contextmanager
def working(title: str, *, in_logs: bool = True) -> Iterator[None]:
    """Show what the block waits for: at a terminal with its seconds; elsewhere as a line, if it belongs into a log."""
    begun = _console.begin_step(title)
    if begun is None and in_logs:
        info(title)
    with within(begun):
        yield


def info(message: str) -> None:
    """Show what is going on inside a step."""
    if is_text():
        _console.detail(message)


def box_line(line: str) -> None:
    """Show a line that a setup prints on the box: a step there begins or ends."""
    if is_text():
        _console.box_line(line)


def live(message: str) -> None:
    """Show what is going on, in place of the last such line; empty ends it."""
    _console.live(message)


def val(name: str, value: str) -> None:
    """Show one fact."""
    info(f"{name}: {click.style(value, bold=True)}")


def success(message: str) -> None:
    """Show that something succeeded."""
    info(click.style(message, fg="green"))


def warn(message: str, *, code: str = "warning", instance_id: str | None = None, region: str | None = None) -> None:
    """Warn: a person at once, a script in the result's warnings.

    `code` is a word of docs/errors.md.
    """
    from .models import Notice

    _console.warnings.append(Notice(code, message, instance_id, region))
    live("")
    secho(f"Warning: {message}", fg="yellow")
