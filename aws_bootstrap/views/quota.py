"""Quotas, requests for more, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from click import style

from ..models import QuotaHistory, QuotaHistoryRow, QuotaReport, QuotaRequestRow, QuotaRequests, QuotaRow
from ..next_commands import next_commands
from .text import aligned, heading, next_lines, plural, text

_COLOURS = {"APPROVED": "green", "PENDING": "yellow", "CASE_OPENED": "yellow", "DENIED": "red", "NOT_APPROVED": "red"}


@text.register
def quota_report(report: QuotaReport) -> str:
    """Return each region's quotas in vCPUs, and a request that asks for more."""
    if not report.quotas:
        return f"AWS knows no such quota in {', '.join(report.regions_queried)}."
    parts: list[str] = []
    for region, rows in groupby(report.quotas, key=attrgetter("region")):
        parts.append(_region(region, list(rows)))
    parts.append(next_lines(next_commands(report)))
    return "\n\n".join(parts)


@text.register
def quota_requests(result: QuotaRequests) -> str:
    """Return what was sent, and how to follow it."""
    if not result.requests:
        return "Nothing was sent."
    lines = [heading(f"Sent {plural(len(result.requests), 'request')} to AWS")]
    for row in result.requests:
        lines.append(f"  {row.region}  {row.quota_name}: {row.desired_value:g} vCPUs  {_status(row.status)}")
        lines.append(_ids(row))
        if row.note:
            lines.append(f"    {row.note}")
    lines += ["", next_lines(next_commands(result))]
    return "\n".join(lines)


@text.register
def quota_history(result: QuotaHistory) -> str:
    """Return each request with its state, newest first."""
    if not result.requests:
        return f"No such request was sent in {', '.join(result.regions_queried)}."
    lines = [heading("Requests for more vCPUs, newest first")]
    cells = [_history_cells(row) for row in result.requests]
    for row, line in zip(result.requests, aligned(cells, right=(3,)), strict=True):
        lines.append(line)
        lines.append(_ids(row))
    return "\n".join(lines)


def _region(region: str, rows: Sequence[QuotaRow]) -> str:
    """Return the region's quotas, then what is unusual about them, each note once."""
    lines = [f"{heading(region)}  vCPUs that may run at a time"]
    cells = [_quota_cells(row) for row in rows]
    lines += aligned(cells, right=(2,))
    notes: list[str] = []
    for row in rows:
        if row.note and row.note not in notes:
            notes.append(row.note)
            lines.append(f"  {row.note}")
    return "\n".join(lines)


def _quota_cells(row: QuotaRow) -> list[str]:
    return [row.family, row.quota_type, _vcpus(row.value), row.quota_name, style(row.quota_code, dim=True)]


def _vcpus(value: float) -> str:
    if value:
        return style(f"{value:g}", bold=True)
    return style(f"{value:g}", bold=True, fg="yellow")


def _history_cells(row: QuotaHistoryRow) -> list[str]:
    created = "-"
    if row.created:
        created = f"{row.created:%Y-%m-%d}"
    quota = f"{row.family} {row.quota_type}"
    return [created, row.region, quota, f"{row.desired_value:g} vCPUs", _status(row.status)]


def _status(status: str) -> str:
    return style(status, fg=_COLOURS.get(status), bold=True)


def _ids(row: QuotaRequestRow | QuotaHistoryRow) -> str:
    words = f"    request {row.request_id}"
    if row.case_id:
        words += f"  case {row.case_id}"
    return style(words, dim=True)
