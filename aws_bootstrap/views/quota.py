"""Quotas, requests for more, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from click import style

from ..models import QuotaHistory, QuotaHistoryRow, QuotaReport, QuotaRequests, QuotaRow
from .text import aligned, heading, next_commands, plural, quota_request, text

_COLOURS = {"APPROVED": "green", "PENDING": "yellow", "CASE_OPENED": "yellow", "DENIED": "red", "NOT_APPROVED": "red"}


@text.register
def _(report: QuotaReport) -> str:
    """Each region's quotas in vCPUs, and a request that asks for more."""
    if not report.quotas:
        return f"AWS knows no such quota in {', '.join(report.regions_queried)}."
    parts = [_region(region, list(rows)) for region, rows in groupby(report.quotas, lambda row: row.region)]
    return "\n\n".join([*parts, next_commands({"Ask for more": _more(report)})])


@text.register
def _(result: QuotaRequests) -> str:
    """What was sent, and how to follow it."""
    if not result.requests:
        return "Nothing was sent."
    lines = [heading(f"Sent {plural(len(result.requests), 'request')} to AWS")]
    for row in result.requests:
        lines.append(f"  {row.region}  {row.quota_name}: {row.desired_value:g} vCPUs  {_status(row.status)}")
        lines += [style(_ids(row.request_id, row.case_id), dim=True), *([f"    {row.note}"] if row.note else [])]
    where = "".join(f" -r {row.region}" for row in result.requests)
    family = result.requests[0].family
    follow = f"{result.access.program} quota history --family {family}{where}"
    return "\n".join([*lines, "", next_commands({"See what becomes of it": follow})])


@text.register
def _(result: QuotaHistory) -> str:
    """Each request with its state, newest first."""
    if not result.requests:
        return f"No such request for more was made in {', '.join(result.regions_queried)}."
    lines = aligned(map(_cells, result.requests), right=(3,))
    ids = (style(_ids(row.request_id, row.case_id), dim=True) for row in result.requests)
    pairs = (line for pair in zip(lines, ids, strict=True) for line in pair)
    return "\n".join([heading("Requests for more vCPUs, newest first"), *pairs])


def _region(region: str, rows: Iterable[QuotaRow]) -> str:
    listed = list(rows)
    lines = aligned(
        [[r.family, r.quota_type, _vcpus(r.value), r.quota_name, style(r.quota_code, dim=True)] for r in listed],
        right=(2,),
    )
    notes = [f"  {note}" for note in dict.fromkeys(r.note for r in listed if r.note)]
    return "\n".join([f"{heading(region)}  vCPUs that may run at a time", *lines, *notes])


def _vcpus(value: float) -> str:
    return style(f"{value:g}", bold=True, fg=None if value else "yellow")


def _more(report: QuotaReport) -> str:
    """A request for the first quota shown, in all regions, for twice what the best of them has."""
    first = report.quotas[0]
    alike = [q for q in report.quotas if (q.family, q.quota_type) == (first.family, first.quota_type)]
    wanted = max(8, 2 * int(max(q.value for q in alike)))
    return quota_request(report.access, first.family, first.quota_type, wanted, [q.region for q in alike])


def _cells(row: QuotaHistoryRow) -> list[str]:
    made = f"{row.created:%Y-%m-%d}" if row.created else "-"
    return [made, row.region, f"{row.family} {row.quota_type}", f"{row.desired_value:g} vCPUs", _status(row.status)]


def _status(status: str) -> str:
    return style(status, fg=_COLOURS.get(status), bold=True)


def _ids(request_id: str, case_id: str | None) -> str:
    return f"    request {request_id}" + (f"  case {case_id}" if case_id else "")
