"""Quotas, requests for more, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from click import style

from ..invocation import PROGRAM
from ..models import QuotaHistory, QuotaHistoryRow, QuotaReport, QuotaRequestRow, QuotaRequests, QuotaRow
from .text import aligned, heading, next_commands, plural, quota_request, region_options, text

_COLOURS = {"APPROVED": "green", "PENDING": "yellow", "CASE_OPENED": "yellow", "DENIED": "red", "NOT_APPROVED": "red"}

#: vCPUs. A region may have a quota of 0, whose double is no request.
_LEAST_REQUESTED = 8


@text.register
def quota_report(report: QuotaReport) -> str:
    """Return each region's quotas in vCPUs, and a request that asks for more."""
    if not report.quotas:
        return f"AWS knows no such quota in {', '.join(report.regions_queried)}."
    parts: list[str] = []
    for region, rows in groupby(report.quotas, key=attrgetter("region")):
        parts.append(_region(region, list(rows)))
    parts.append(next_commands({"Request more": _request_for_more(report)}))
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
    where = region_options([row.region for row in result.requests])
    follow = f"{PROGRAM} quota history --family {result.requests[0].family}{where}"
    lines += ["", next_commands({"Follow it": follow})]
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


def _request_for_more(report: QuotaReport) -> str:
    """Return a request for the first quota shown, in all its regions, for twice the highest value among them."""
    first = report.quotas[0]
    regions: list[str] = []
    highest = 0.0
    for quota in report.quotas:
        if quota.family == first.family and quota.quota_type == first.quota_type:
            regions.append(quota.region)
            highest = max(highest, quota.value)
    desired = max(_LEAST_REQUESTED, 2 * int(highest))
    return quota_request(first.family, first.quota_type, desired, regions)


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
