"""Show quotas, request increases, and show past requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from .. import quota
from ..aws import call_each_region, change_each_region, each_region, without_waiting
from ..errors import AwsError, BootstrapError, Interrupted
from ..invocation import PROGRAM
from ..models import (
    Quota,
    QuotaChange,
    QuotaHistory,
    QuotaHistoryRow,
    QuotaIncrease,
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
    from types_boto3_service_quotas import ServiceQuotasClient

    from ..app import App


@dataclass(frozen=True)
class CheckedRequest:
    """A request that may be sent. It was checked against the region's quota and its open requests."""

    region: str
    key: QuotaKey
    quota: Quota
    desired_value: int

    @property
    def note(self) -> str | None:
        """Return a note if another quota applies; None if the family's own does."""
        return _note(self.key, self.quota)


def show(app: App, family: str | None, regions: Sequence[str]) -> QuotaReport:
    """Return the account's quotas in each region."""
    queried = _regions(app, regions)
    keys = quota.quota_keys(family)

    def read(region: str) -> list[tuple[QuotaKey, Quota]]:
        return _read(app.aws.service_quotas(region), keys)

    found, failed = each_region(queried, read)
    rows: list[QuotaRow] = []
    for region, quotas in found.items():
        for key, current in quotas:
            rows.append(_row(region, key, current))
    return QuotaReport(tuple(rows), queried, failed)


def highest_value(app: App, key: QuotaKey, regions: Sequence[str]) -> float | None:
    """Return the highest quota of these regions; None if none of them could be read."""
    calls = [partial(current_value, app, region, key) for region in regions]
    known = [value for value in run_parallel(calls) if value is not None]
    return max(known, default=None)


def current_value(app: App, region: str, key: QuotaKey) -> float | None:
    """Return the region's quota; None if it has none or cannot be read."""

    def read(_: str) -> list[tuple[QuotaKey, Quota]]:
        return _read(app.aws.service_quotas(region), [key])

    try:
        quotas = without_waiting(region, read)
    except BootstrapError:
        return None
    if not quotas:
        return None
    _, current = quotas[0]
    return current.value


def read_values(app: App, region: str, families: Iterable[str]) -> dict[QuotaKey, float]:
    """Return the region's quotas of these families in both markets. A key is left out where the region has none.

    BootstrapError if they cannot be read.
    """
    keys: list[QuotaKey] = []
    for family in families:
        keys += quota.quota_keys(family)

    def read(_: str) -> list[tuple[QuotaKey, Quota]]:
        return _read(app.aws.service_quotas(region), keys)

    values: dict[QuotaKey, float] = {}
    for key, current in without_waiting(region, read):
        values[key] = current.value
    return values


def check(app: App, key: QuotaKey, desired_value: int, regions: Sequence[str]) -> tuple[CheckedRequest, ...]:
    """Return the requests that may be sent, one per region.

    BootstrapError if a request must not be sent in one region, so that none is sent in any.
    """

    def check_region(region: str) -> CheckedRequest:
        return _checked(app, region, key, desired_value)

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


def increases(checked: Sequence[CheckedRequest]) -> tuple[QuotaIncrease, ...]:
    """Return what the requests change."""
    changes: list[QuotaIncrease] = []
    for each in checked:
        changes.append(QuotaIncrease(each.region, each.quota.name, each.quota.value, each.desired_value, each.note))
    return tuple(changes)


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
    """Return the rows of the requests that were sent, in the order of the checked requests."""
    rows: list[QuotaRequestRow] = []
    for each in checked:
        if each.region in sent:
            rows.append(sent[each.region])
    return tuple(rows)


def _interrupted(cause: KeyboardInterrupt, app: App, calls: Calls, sent: tuple[QuotaRequestRow, ...]) -> BootstrapError:
    """Return the error of an interrupt, with the requests that AWS has received."""
    hints = [f"It is unknown whether AWS received {name}." for name in calls.unknown]
    hints.append(f"Show the requests: {PROGRAM} quota history")
    return Interrupted.of(cause, hint="\n".join(hints)).attach_result(QuotaRequests(sent))


def history(app: App, keys: Sequence[QuotaKey], status: str | None, regions: Sequence[str]) -> QuotaHistory:
    """Return the requests for these quotas, newest first."""
    queried = _regions(app, regions)

    def read(region: str) -> list[QuotaHistoryRow]:
        return _history(app.aws.service_quotas(region), region, keys, status)

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
    """Return when the request was created; one without a date counts as the oldest."""
    return row.created or datetime.min.replace(tzinfo=UTC)


def _read(client: ServiceQuotasClient, keys: Sequence[QuotaKey]) -> list[tuple[QuotaKey, Quota]]:
    """Return the region's quotas of these keys. A key without a quota or a fallback there is left out."""
    known = quota.find_quotas(client, [key.code for key in keys])
    fallback_codes: list[str] = []
    for key in keys:
        fallback = key.fallback
        if key.code not in known and fallback and fallback.code not in known:
            fallback_codes.append(fallback.code)
    known |= quota.find_quotas(client, fallback_codes)
    found: list[tuple[QuotaKey, Quota]] = []
    for key in keys:
        current = known.get(_applicable_code(key, known))
        if current:
            found.append((key, current))
    return found


def _applicable_code(key: QuotaKey, known: dict[str, Quota]) -> str:
    """Return the code of the quota that applies to the key in a region with these quotas."""
    fallback = key.fallback
    if key.code not in known and fallback:
        return fallback.code
    return key.code


def _note(key: QuotaKey, current: Quota) -> str | None:
    if current.code == key.code:
        return None
    return f"The region has no {key.family} {key.market} quota of its own. Quota {current.code} applies."


def _row(region: str, key: QuotaKey, current: Quota) -> QuotaRow:
    note = _note(key, current)
    return QuotaRow(region, key.family, key.market, current.code, current.name, current.value, note)


def _checked(app: App, region: str, key: QuotaKey, desired_value: int) -> CheckedRequest:
    """Return the request for one region. BootstrapError if it must not be sent."""
    client = app.aws.service_quotas(region)
    quotas = _read(client, [key])
    if not quotas:
        raise BootstrapError(f"{region} has no {key.family} {key.market} quota.", code="not-found")
    _, current = quotas[0]
    if desired_value <= current.value:
        raise BootstrapError(
            f"The {key.family} {key.market} quota is already {current.value:g} vCPUs. Request more than that.",
            hint=f"Show the quota: {PROGRAM} quota show --family {key.family} --region {region}",
            code="bad-quota-value",
        )
    change = quota.find_open_change(client, current.code)
    if change:
        raise BootstrapError(
            f"A request for {change.desired_value:g} vCPUs is already open ({change.status}, {change.request_id}).",
            hint=f"Show its status: {PROGRAM} quota history --family {key.family} --region {region}",
            code="quota-pending",
        )
    return CheckedRequest(region, key, current, desired_value)


def _nothing_sent(problems: dict[str, BootstrapError]) -> BootstrapError:
    """Return the error if a request must not be sent in these regions, with the reason of each."""
    first = next(iter(problems.values()))
    where = ", ".join(problems)
    error = BootstrapError(f"No request was sent, because of {where}: {first}", hint=first.hint, code=first.code)
    reasons = [RegionReason(region, str(problem)) for region, problem in problems.items()]
    return error.add_details(regions=tuple(reasons))


def _send(app: App, checked: CheckedRequest, calls: Calls, sent: dict[str, QuotaRequestRow]) -> None:
    """Send one request and note it by its region.

    A request without an answer is looked up among the open ones: there was none before.
    """
    client = app.aws.service_quotas(checked.region)
    code = checked.quota.code
    name = f"the request in {checked.region}"

    def find() -> QuotaChange | None:
        change = quota.find_open_change(client, code)
        if change is None or change.desired_value != checked.desired_value:
            return None
        return change

    def note(change: QuotaChange) -> None:
        sent[checked.region] = _request_row(checked, change)

    try:
        send = partial(quota.request_increase, client, code, checked.desired_value)
        calls.make(name, send, look=find, note=note)
    except AwsError as exc:
        if name in calls.unknown:
            message = f"{exc} It is unknown whether AWS received {name}."
            hint = f"Show the requests: {PROGRAM} quota history --region {checked.region}"
            raise BootstrapError(message, hint=hint, code=exc.code) from exc
        # The SDK retries a call without an answer. AWS then answers that a request is already open: perhaps this one.
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
        quota_type=checked.key.market,
        family=checked.key.family,
        case_id=change.case_id,
        note=checked.note,
    )


def _history(
    client: ServiceQuotasClient, region: str, keys: Sequence[QuotaKey], status: str | None
) -> list[QuotaHistoryRow]:
    """Return one region's requests for the quotas of these keys."""
    changes = quota.find_changes(client, status)
    key_by_code: dict[str, QuotaKey] = {}
    for key in keys:
        key_by_code.setdefault(key.code, key)
    for key in keys:
        fallback = key.fallback
        if fallback is None or fallback.code in key_by_code:
            continue
        # Where P's quota applies to P5, the requests for P5 are among those for P.
        if quota.find_quota(client, key.code) is None:
            key_by_code[fallback.code] = key
    rows: list[QuotaHistoryRow] = []
    for change in changes:
        if change.code in key_by_code:
            rows.append(_history_row(change, region, key_by_code[change.code]))
    return rows


def _history_row(change: QuotaChange, region: str, key: QuotaKey) -> QuotaHistoryRow:
    return QuotaHistoryRow(
        request_id=change.request_id,
        status=change.status,
        quota_code=change.code,
        quota_name=change.name,
        desired_value=change.desired_value,
        region=region,
        quota_type=key.market,
        family=key.family,
        created=change.created,
        case_id=change.case_id,
    )
