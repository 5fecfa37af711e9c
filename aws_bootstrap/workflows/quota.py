"""Show quotas, request higher ones, show the requests made so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import quota
from ..aws import call_each_region, change_each_region, each_region, without_waiting
from ..errors import AwsError, BootstrapError, Interrupted
from ..invocation import PROGRAM
from ..models import (
    Quota,
    QuotaChange,
    QuotaHistory,
    QuotaHistoryRow,
    QuotaReport,
    QuotaRequestRow,
    QuotaRequests,
    QuotaRow,
    RegionReason,
)
from ..parallel import run_parallel
from ..quota import QuotaKey
from .unknown import Calls

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class CheckedRequest:
    """A request that may be sent: it was checked against what the region has."""

    region: str
    kind: QuotaKey
    quota: Quota
    desired_value: int

    @property
    def note(self) -> str | None:
        """Return what is unusual about it."""
        return _note(self.kind, self.quota)


def show(app: App, family: str | None, regions: Sequence[str]) -> QuotaReport:
    """Return what the account may run in each region."""
    queried = _regions(app, regions)
    kinds = quota.quota_keys(family)

    def read(region: str) -> list[tuple[QuotaKey, Quota]]:
        return _read(app.aws.service_quotas(region), kinds)

    found, failed = each_region(queried, read)
    rows: list[QuotaRow] = []
    for region, quotas in found.items():
        for kind, current in quotas:
            rows.append(_row(region, kind, current))
    return QuotaReport(tuple(rows), queried, failed)


def enough(app: App, kind: QuotaKey, regions: Sequence[str], vcpus: int) -> int:
    """Return the value to request in these regions for boxes of so many vCPUs.

    It is above each quota, which may be in use, and twice the need, since AWS reviews each request.
    """
    calls = [partial(_current, app, region, kind) for region in regions]
    highest = max(run_parallel(calls), default=0)
    return int(highest) + 2 * vcpus


def _current(app: App, region: str, kind: QuotaKey) -> float:
    """Return the region's quota; 0 where it has none, or cannot say: the command is printed all the same."""

    def read(where: str) -> list[tuple[QuotaKey, Quota]]:
        return _read(app.aws.service_quotas(where), [kind])

    try:
        quotas = without_waiting(region, read)
    except BootstrapError:
        return 0.0
    if not quotas:
        return 0.0
    _, current = quotas[0]
    return current.value


def check(app: App, kind: QuotaKey, desired_value: int, regions: Sequence[str]) -> tuple[CheckedRequest, ...]:
    """Return what may be sent, one request a region.

    BootstrapError if a request must not be sent in one region: then nothing is sent anywhere.
    """

    def check_region(region: str) -> CheckedRequest:
        return _checked(app, region, kind, desired_value)

    checked: list[CheckedRequest] = []
    problems: dict[str, BootstrapError] = {}
    answers = call_each_region(_regions(app, regions), check_region)
    for region, answer in answers.items():
        if isinstance(answer, BootstrapError):
            problems[region] = answer
        else:
            checked.append(answer)
    if problems:
        raise _nothing_sent(problems)
    return tuple(checked)


def question(checked: Sequence[CheckedRequest]) -> str:
    """Return what the user is asked to agree to."""
    lines: list[str] = []
    notes: list[str] = []
    for each in checked:
        change = f"{each.quota.value:g} -> {each.desired_value} vCPUs"
        lines.append(f"  {each.region}  {each.quota.name}: {change}")
        if each.note:
            notes.append(f"  {each.note}")
    requests = "1 request" if len(checked) == 1 else f"{len(checked)} requests"
    return "\n".join([*lines, *notes, f"Send {requests} to AWS?"])


def request(app: App, checked: Sequence[CheckedRequest]) -> QuotaRequests:
    """Send these requests. BootstrapError if AWS refuses every one."""
    by_region = {each.region: each for each in checked}
    calls = Calls(app.lookup_seconds)
    sent: dict[str, QuotaRequestRow] = {}

    def send(region: str) -> None:
        _send(app, by_region[region], calls, sent)

    try:
        _, failed = change_each_region(by_region, send)
    except KeyboardInterrupt as exc:
        calls.settle()
        raise _interrupted(exc, app, calls, _in_order(checked, sent)) from exc
    return QuotaRequests(_in_order(checked, sent), regions_failed=failed)


def _in_order(checked: Sequence[CheckedRequest], sent: dict[str, QuotaRequestRow]) -> tuple[QuotaRequestRow, ...]:
    """Return the rows of the requests that were sent, in the order of the requests."""
    rows: list[QuotaRequestRow] = []
    for each in checked:
        if each.region in sent:
            rows.append(sent[each.region])
    return tuple(rows)


def _interrupted(cause: KeyboardInterrupt, app: App, calls: Calls, sent: tuple[QuotaRequestRow, ...]) -> BootstrapError:
    """Return the error of an interrupt, with the requests that AWS has by now."""
    hints = [f"Whether AWS took {name} is not known." for name in calls.unknown]
    hints.append(f"See what was sent: {PROGRAM} quota history")
    return Interrupted.of(cause, hint="\n".join(hints)).attach_result(QuotaRequests(sent))


def history(app: App, kinds: Sequence[QuotaKey], status: str | None, regions: Sequence[str]) -> QuotaHistory:
    """Return the requests for these quotas, newest first."""
    queried = _regions(app, regions)

    def read(region: str) -> list[QuotaHistoryRow]:
        return _history(app.aws.service_quotas(region), region, kinds, status)

    found, failed = each_region(queried, read)
    rows: list[QuotaHistoryRow] = []
    for in_region in found.values():
        rows += in_region
    rows.sort(key=_created, reverse=True)
    return QuotaHistory(tuple(rows), queried, failed)


def _regions(app: App, regions: Sequence[str]) -> tuple[str, ...]:
    """Return these regions, each once; the default region if there are none."""
    if not regions:
        return (app.aws.region,)
    return tuple(dict.fromkeys(regions))


def _created(row: QuotaHistoryRow) -> datetime:
    """Return when the request was made; one without a date counts as the oldest."""
    return row.created or datetime.min.replace(tzinfo=UTC)


def _read(client: Any, kinds: Sequence[QuotaKey]) -> list[tuple[QuotaKey, Quota]]:
    """Return the region's quotas of these kinds. One that it lacks and that nothing stands in for is left out."""
    known = quota.find_quotas(client, [kind.code for kind in kinds])
    stand_ins: list[str] = []
    for kind in kinds:
        fallback = kind.fallback
        if kind.code not in known and fallback and fallback.code not in known:
            stand_ins.append(fallback.code)
    known |= quota.find_quotas(client, stand_ins)
    found: list[tuple[QuotaKey, Quota]] = []
    for kind in kinds:
        current = known.get(_code(kind, known))
        if current:
            found.append((kind, current))
    return found


def _code(kind: QuotaKey, known: dict[str, Quota]) -> str:
    """Return the code that counts for this kind in a region that knows these."""
    fallback = kind.fallback
    if kind.code not in known and fallback:
        return fallback.code
    return kind.code


def _note(kind: QuotaKey, current: Quota) -> str | None:
    if current.code == kind.code:
        return None
    return f"The region has no {kind.family} {kind.market} quota of its own any more; {current.code} counts."


def _row(region: str, kind: QuotaKey, current: Quota) -> QuotaRow:
    note = _note(kind, current)
    return QuotaRow(region, kind.family, kind.market, current.code, current.name, current.value, note)


def _checked(app: App, region: str, kind: QuotaKey, desired_value: int) -> CheckedRequest:
    """Return the request for one region. BootstrapError if it must not be sent."""
    client = app.aws.service_quotas(region)
    quotas = _read(client, [kind])
    if not quotas:
        raise BootstrapError(f"{region} has no {kind.family} {kind.market} quota.", code="not-found")
    _, current = quotas[0]
    if desired_value <= current.value:
        raise BootstrapError(
            f"The quota is {current.value:g} vCPUs already; ask for more than that.",
            hint=f"See the quotas: {PROGRAM} quota show --family {kind.family} --region {region}",
            code="bad-quota-value",
        )
    waiting = quota.find_open_change(client, current.code)
    if waiting:
        raise BootstrapError(
            f"A request for {waiting.desired_value:g} vCPUs is open already ({waiting.status}, {waiting.request_id}).",
            hint=f"See what became of it: {PROGRAM} quota history --family {kind.family} --region {region}",
            code="quota-pending",
        )
    return CheckedRequest(region, kind, current, desired_value)


def _nothing_sent(problems: dict[str, BootstrapError]) -> BootstrapError:
    """Return the error for regions where a request must not be sent, with each region's reason."""
    first = next(iter(problems.values()))
    where = ", ".join(problems)
    error = BootstrapError(f"Nothing was sent, because of {where}: {first}", hint=first.hint, code=first.code)
    reasons = [RegionReason(region, str(problem)) for region, problem in problems.items()]
    return error.add_details(regions=tuple(reasons))


def _send(app: App, checked: CheckedRequest, calls: Calls, sent: dict[str, QuotaRequestRow]) -> None:
    """Send one request and note it by its region.

    One that was not answered is found among those AWS has yet to decide: there was none before.
    """
    client = app.aws.service_quotas(checked.region)
    code = checked.quota.code
    name = f"the request in {checked.region}"

    def find() -> QuotaChange | None:
        waiting = quota.find_open_change(client, code)
        if waiting is None or waiting.desired_value != checked.desired_value:
            return None
        return waiting

    def note(change: QuotaChange) -> None:
        sent[checked.region] = _request_row(checked, change)

    try:
        send = partial(quota.request_increase, client, code, checked.desired_value)
        calls.make(name, send, look=find, note=note)
    except AwsError as exc:
        if name in calls.unknown:
            what = f"{exc} Whether AWS took the request is not known."
            hint = f"See what was sent: {PROGRAM} quota history --region {checked.region}"
            raise BootstrapError(what, hint=hint, code=exc.code) from exc
        # The SDK repeats what it got no answer to. AWS then answers that a request is open: perhaps this one.
        if exc.aws_code != "ResourceAlreadyExistsException":
            raise
        found = find()
        if found is None:
            raise
        note(found)


def _request_row(checked: CheckedRequest, change: QuotaChange) -> QuotaRequestRow:
    return QuotaRequestRow(
        request_id=change.request_id,
        status=change.status,
        quota_code=change.code,
        quota_name=change.name or checked.quota.name,
        desired_value=change.desired_value,
        region=checked.region,
        quota_type=checked.kind.market,
        family=checked.kind.family,
        case_id=change.case_id,
        note=checked.note,
    )


def _history(client: Any, region: str, kinds: Sequence[QuotaKey], status: str | None) -> list[QuotaHistoryRow]:
    """Return one region's requests for the quotas of these kinds."""
    changes = quota.find_changes(client, status)
    kind_by_code: dict[str, QuotaKey] = {}
    for kind in kinds:
        kind_by_code.setdefault(kind.code, kind)
    for kind in kinds:
        fallback = kind.fallback
        if fallback is None or fallback.code in kind_by_code:
            continue
        # Where P's quota stands in for P5's, the requests for P5 are among P's.
        if quota.find_quota(client, kind.code) is None:
            kind_by_code[fallback.code] = kind
    rows: list[QuotaHistoryRow] = []
    for change in changes:
        if change.code in kind_by_code:
            rows.append(_history_row(change, region, kind_by_code[change.code]))
    return rows


def _history_row(change: QuotaChange, region: str, kind: QuotaKey) -> QuotaHistoryRow:
    return QuotaHistoryRow(
        request_id=change.request_id,
        status=change.status,
        quota_code=change.code,
        quota_name=change.name,
        desired_value=change.desired_value,
        region=region,
        quota_type=kind.market,
        family=kind.family,
        created=change.created,
        case_id=change.case_id,
    )
