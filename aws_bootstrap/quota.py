"""Service Quotas: how many vCPUs of each GPU family the account may run, and requests for more.

The verbs take a client first, return facts and print nothing. The codes are AWS's:
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .aws import explained, pages
from .errors import AwsError
from .models import Quota, QuotaChange

SERVICE = "ec2"
MARKETS = ("spot", "on-demand")
STATUSES = ("PENDING", "CASE_OPENED", "APPROVED", "DENIED", "CASE_CLOSED", "NOT_APPROVED")
OPEN = ("PENDING", "CASE_OPENED")

# To add a family, add its two codes here.
CODES: dict[str, dict[str, str]] = {
    "gvt": {"spot": "L-3819A6DF", "on-demand": "L-DB2E81BA"},
    "p": {"spot": "L-7212CCBC", "on-demand": "L-417A185B"},
    "p5": {"spot": "L-C4BD4855", "on-demand": "L-417A185B"},
    "dl": {"spot": "L-85EED4F7", "on-demand": "L-6E869C2A"},
}
FAMILIES = tuple(CODES)

_FALLBACK = {("p5", "spot"): "p"}
"""AWS has been folding the P5 spot quota into P's: a region may not know its code any more."""


@dataclass(frozen=True)
class Kind:
    """One line of the table above."""

    family: str
    market: str

    @property
    def code(self) -> str:
        """Return AWS's code for it."""
        return CODES[self.family][self.market]

    @property
    def fallback(self) -> Kind | None:
        """Return the one that counts where a region does not know this code."""
        family = _FALLBACK.get((self.family, self.market))
        if family is None:
            return None
        return Kind(family, self.market)


def kinds(family: str | None = None, market: str | None = None) -> tuple[Kind, ...]:
    """Return the lines of the table for a family (None: all) and a market (None: both)."""
    chosen: list[Kind] = []
    for each_family in FAMILIES:
        for each_market in MARKETS:
            if family in (None, each_family) and market in (None, each_market):
                chosen.append(Kind(each_family, each_market))
    return tuple(chosen)


def find_quotas(client: Any, codes: Iterable[str]) -> dict[str, Quota]:
    """Return the quotas that the region knows, by code; each code is looked up once."""
    found: dict[str, Quota] = {}
    for code in dict.fromkeys(codes):
        quota = find_quota(client, code)
        if quota:
            found[code] = quota
    return found


def find_quota(client: Any, code: str) -> Quota | None:
    """Return the quota as the account has it; AWS's default if it was never changed; None if the region has no such."""
    current = _answer(client.get_service_quota, code)
    if current:
        return current
    return _answer(client.get_aws_default_service_quota, code)


@explained()
def find_changes(client: Any, status: str | None = None) -> list[QuotaChange]:
    """Return every request that was made for an EC2 quota in the client's region."""
    filters = {"ServiceCode": SERVICE}
    if status:
        filters["Status"] = status
    made = pages(client, "list_requested_service_quota_change_history", "RequestedQuotas", **filters)
    return [_change(raw) for raw in made]


@explained()
def find_open_change(client: Any, code: str) -> QuotaChange | None:
    """Return the request for this quota that AWS has yet to decide."""
    operation = "list_requested_service_quota_change_history_by_quota"
    for raw in pages(client, operation, "RequestedQuotas", ServiceCode=SERVICE, QuotaCode=code):
        if raw.get("Status") in OPEN:
            return _change(raw)
    return None


def request_increase(client: Any, code: str, desired_value: float) -> QuotaChange:
    """Send a request for this quota; return it as AWS answers."""
    with explained():
        reply = client.request_service_quota_increase(
            ServiceCode=SERVICE, QuotaCode=code, DesiredValue=float(desired_value)
        )
        # What was requested stands in for what the reply does not say.
        return _change({"QuotaCode": code, "DesiredValue": desired_value, **reply["RequestedQuota"]})


def _answer(operation: Any, code: str) -> Quota | None:
    """Return what this operation answers about the quota; None where AWS knows no such."""
    try:
        with explained():
            raw = operation(ServiceCode=SERVICE, QuotaCode=code)["Quota"]
            return Quota(raw.get("QuotaCode", code), raw.get("QuotaName", ""), float(raw["Value"]))
    except AwsError as exc:
        if exc.aws_code == "NoSuchResourceException":
            return None
        raise


def _change(raw: dict[str, Any]) -> QuotaChange:
    return QuotaChange(
        request_id=raw.get("Id", "unknown"),
        status=raw.get("Status", "unknown"),
        code=raw["QuotaCode"],
        name=raw.get("QuotaName", ""),
        desired_value=float(raw.get("DesiredValue", 0)),
        created=raw.get("Created"),
        case_id=raw.get("CaseId"),
    )
