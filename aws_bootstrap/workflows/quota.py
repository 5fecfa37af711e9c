"""Show quotas, ask for more, see what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import quota
from ..aws import ask_each_region, change_each_region, each_region, together, without_waiting
from ..errors import AwsError, BootstrapError, Interrupted, RegionReason
from ..models import (
    Quota,
    QuotaChange,
    QuotaHistory,
    QuotaHistoryRow,
    QuotaReport,
    QuotaRequestRow,
    QuotaRequests,
    QuotaRow,
)
from ..quota import Kind
from .unknown import Calls

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class Ask:
    """A request that may be sent: it was checked against what the region has."""

    region: str
    kind: Kind
    quota: Quota
    desired_value: int

    @property
    def note(self) -> str | None:
        """What is unusual about it."""
        return _note(self.kind, self.quota)


def show(app: App, family: str | None, regions: Sequence[str]) -> QuotaReport:
    """What the account may run in each region."""
    asked, wanted = _regions(app, regions), quota.kinds(family)
    found, failed = each_region(asked, lambda r: _read(app.aws.service_quotas(r), wanted))
    rows = tuple(_row(r, kind, q) for r, known in found.items() for kind, q in known)
    return QuotaReport(rows, tuple(asked), failed, access=app.access)


def enough(app: App, kind: Kind, regions: Sequence[str], vcpus: int) -> int:
    """The value to request in these regions for boxes of so many vCPUs: above each quota, which may be in use, and
    twice the need, since AWS reviews each request.
    """
    current = together(*(partial(_current, app, region, kind) for region in regions))
    return int(max(current, default=0)) + 2 * vcpus


def _current(app: App, region: str, kind: Kind) -> float:
    """The region's quota; 0 where it has none, or cannot say: the command is printed all the same."""
    try:
        known = without_waiting(region, lambda r: _read(app.aws.service_quotas(r), [kind]))
    except BootstrapError:
        return 0.0
    return known[0][1].value if known else 0.0


def check(app: App, kind: Kind, desired_value: int, regions: Sequence[str]) -> tuple[Ask, ...]:
    """What may be sent, one request a region. BootstrapError if one region must not: then nothing is sent anywhere."""
    asked = _regions(app, regions)
    asks: list[Ask] = []
    problems: dict[str, BootstrapError] = {}
    for region, answer in ask_each_region(asked, lambda r: _checked(app, r, kind, desired_value)).items():
        if isinstance(answer, BootstrapError):
            problems[region] = answer
        else:
            asks.append(answer)
    if problems:
        raise _nothing_sent(problems)
    return tuple(asks)


def question(asks: Sequence[Ask]) -> str:
    """What the user is asked to agree to."""
    lines = [f"  {a.region}  {a.quota.name}: {a.quota.value:g} -> {a.desired_value} vCPUs" for a in asks]
    notes = [f"  {a.note}" for a in asks if a.note]
    return "\n".join([*lines, *notes, f"Send {len(asks)} request{'s' * (len(asks) != 1)} to AWS?"])


def request(app: App, asks: Sequence[Ask]) -> QuotaRequests:
    """Send them. If AWS refuses every one, so does this."""
    by_region = {ask.region: ask for ask in asks}
    calls = Calls(app.lookup_seconds)
    sent: dict[str, QuotaRequestRow] = {}
    try:
        _, failed = change_each_region(by_region, lambda region: _send(app, by_region[region], calls, sent))
    except KeyboardInterrupt as exc:
        calls.settle()
        raise _interrupted(exc, app, calls, _in_order(asks, sent)) from exc
    return QuotaRequests(_in_order(asks, sent), regions_failed=failed, access=app.access)


def _in_order(asks: Sequence[Ask], sent: dict[str, QuotaRequestRow]) -> tuple[QuotaRequestRow, ...]:
    return tuple(sent[ask.region] for ask in asks if ask.region in sent)


def _interrupted(cause: KeyboardInterrupt, app: App, calls: Calls, sent: tuple[QuotaRequestRow, ...]) -> BootstrapError:
    """The error of an interrupt, with the requests that AWS has by now."""
    hints = [f"Whether AWS took {name} is not known." for name in calls.unknown]
    hints.append(f"See what was sent: {app.access.program} quota history")
    return Interrupted.of(cause, hint="\n".join(hints)).with_result(QuotaRequests(sent, access=app.access))


def history(app: App, wanted: Sequence[Kind], status: str | None, regions: Sequence[str]) -> QuotaHistory:
    """The requests for these quotas, newest first."""
    asked = _regions(app, regions)
    found, failed = each_region(asked, lambda r: _history(app.aws.service_quotas(r), r, wanted, status))
    rows = sorted((row for rows in found.values() for row in rows), key=_age, reverse=True)
    return QuotaHistory(tuple(rows), tuple(asked), failed, access=app.access)


def _regions(app: App, regions: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(regions)) or (app.aws.region,)


def _age(row: QuotaHistoryRow) -> datetime:
    return row.created or datetime.min.replace(tzinfo=UTC)


def _read(client: Any, wanted: Sequence[Kind]) -> list[tuple[Kind, Quota]]:
    """What the region has of these quotas; one that it lacks and that nothing stands in for is left out."""
    known = quota.find_quotas(client, [kind.code for kind in wanted])
    stand_ins = [k.fallback.code for k in wanted if k.code not in known and k.fallback]
    known |= quota.find_quotas(client, [code for code in stand_ins if code not in known])
    return [(kind, q) for kind in wanted if (q := known.get(_code(kind, known)))]


def _code(kind: Kind, known: dict[str, Quota]) -> str:
    """The code that counts for this kind in a region that knows these."""
    return kind.fallback.code if kind.code not in known and kind.fallback else kind.code


def _note(kind: Kind, q: Quota) -> str | None:
    if q.code == kind.code:
        return None
    return f"The region has no {kind.family} {kind.market} quota of its own any more; {q.code} counts."


def _row(region: str, kind: Kind, q: Quota) -> QuotaRow:
    return QuotaRow(region, kind.family, kind.market, q.code, q.name, q.value, _note(kind, q))


def _checked(app: App, region: str, kind: Kind, desired_value: int) -> Ask:
    client, program = app.aws.service_quotas(region), app.access.program
    known = _read(client, [kind])
    if not known:
        raise BootstrapError(f"{region} has no {kind.family} {kind.market} quota.", code="not-found")
    current = known[0][1]
    if desired_value <= current.value:
        raise BootstrapError(
            f"The quota is {current.value:g} vCPUs already; ask for more than that.",
            hint=f"See the quotas: {program} quota show --family {kind.family} --region {region}",
            code="bad-quota-value",
        )
    waiting = quota.find_open_change(client, current.code)
    if waiting:
        raise BootstrapError(
            f"A request for {waiting.desired_value:g} vCPUs is open already ({waiting.status}, {waiting.request_id}).",
            hint=f"See what became of it: {program} quota history --family {kind.family} --region {region}",
            code="quota-pending",
        )
    return Ask(region, kind, current, desired_value)


def _nothing_sent(problems: dict[str, BootstrapError]) -> BootstrapError:
    first = next(iter(problems.values()))
    where = ", ".join(problems)
    error = BootstrapError(f"Nothing was sent, because of {where}: {first}", hint=first.hint, code=first.code)
    return error.with_facts(regions=tuple(RegionReason(r, str(e)) for r, e in problems.items()))


def _send(app: App, ask: Ask, calls: Calls, sent: dict[str, QuotaRequestRow]) -> None:
    """Send one request and note it by its region. One that was not answered is found among those AWS has yet to
    decide: there was none before.
    """
    client = app.aws.service_quotas(ask.region)
    name = f"the request in {ask.region}"

    def find() -> QuotaChange | None:
        waiting = quota.find_open_change(client, ask.quota.code)
        is_ours = waiting is not None and waiting.desired_value == ask.desired_value
        return waiting if is_ours else None

    def note(change: QuotaChange) -> None:
        sent[ask.region] = _request_row(ask, change)

    try:
        calls.make(
            name, partial(quota.request_increase, client, ask.quota.code, ask.desired_value), look=find, note=note
        )
    except AwsError as exc:
        if name in calls.unknown:
            what = f"{exc} Whether AWS took the request is not known."
            hint = f"See what was sent: {app.access.program} quota history --region {ask.region}"
            raise BootstrapError(what, hint=hint, code=exc.code) from exc
        # The SDK sends again what it got no answer to, and is then told that a request is open: perhaps this one.
        found = find() if exc.aws_code == "ResourceAlreadyExistsException" else None
        if found is None:
            raise
        note(found)


def _request_row(ask: Ask, change: QuotaChange) -> QuotaRequestRow:
    return QuotaRequestRow(
        request_id=change.request_id,
        status=change.status,
        quota_code=change.code,
        quota_name=change.name or ask.quota.name,
        desired_value=change.desired_value,
        region=ask.region,
        quota_type=ask.kind.market,
        family=ask.kind.family,
        case_id=change.case_id,
        note=ask.note,
    )


def _history(client: Any, region: str, wanted: Sequence[Kind], status: str | None) -> list[QuotaHistoryRow]:
    changes = quota.find_changes(client, status)
    by_code = {kind.code: kind for kind in reversed(wanted)}
    for kind in (k for k in wanted if k.fallback and k.fallback.code not in by_code):
        # Where P's quota stands in for P5's, the requests for P5 are among P's.
        if quota.find_quota(client, kind.code) is None and kind.fallback:
            by_code[kind.fallback.code] = kind
    return [_history_row(change, region, by_code[change.code]) for change in changes if change.code in by_code]


def _history_row(change: QuotaChange, region: str, kind: Kind) -> QuotaHistoryRow:
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
