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
        """AWS's code for it."""
        return CODES[self.family][self.market]

    @property
    def fallback(self) -> Kind | None:
        """The one that counts where a region does not know this code."""
        family = _FALLBACK.get((self.family, self.market))
        return Kind(family, self.market) if family else None


def kinds(family: str | None = None, market: str | None = None) -> tuple[Kind, ...]:
    """The lines of the table for a family (None: all) and a market (None: both)."""
    return tuple(Kind(f, m) for f in FAMILIES if family in (None, f) for m in MARKETS if market in (None, m))


def find_quotas(client: Any, codes: Iterable[str]) -> dict[str, Quota]:
    """The quotas that the region knows, by code; each code is asked for once."""
    found = {code: find_quota(client, code) for code in dict.fromkeys(codes)}
    return {code: quota for code, quota in found.items() if quota}


def find_quota(client: Any, code: str) -> Quota | None:
    """The quota as the account has it; AWS's default if it was never changed; None where the region has no such."""
    return _asked(client.get_service_quota, code) or _asked(client.get_aws_default_service_quota, code)


@explained()
def find_changes(client: Any, status: str | None = None) -> list[QuotaChange]:
    """Every request that was made for an EC2 quota in the client's region."""
    wanted = {"ServiceCode": SERVICE} | ({"Status": status} if status else {})
    return list(map(_change, pages(client, "list_requested_service_quota_change_history", "RequestedQuotas", **wanted)))


@explained()
def find_open_change(client: Any, code: str) -> QuotaChange | None:
    """The request for this quota that AWS has yet to decide."""
    operation = "list_requested_service_quota_change_history_by_quota"
    made = pages(client, operation, "RequestedQuotas", ServiceCode=SERVICE, QuotaCode=code)
    return next((_change(raw) for raw in made if raw.get("Status") in OPEN), None)


def request_increase(client: Any, code: str, desired_value: float) -> QuotaChange:
    """The request, sent."""
    with explained():
        reply = client.request_service_quota_increase(
            ServiceCode=SERVICE, QuotaCode=code, DesiredValue=float(desired_value)
        )
        # What was asked for stands in for what the reply does not say.
        return _change({"QuotaCode": code, "DesiredValue": desired_value, **reply["RequestedQuota"]})


def _asked(operation: Any, code: str) -> Quota | None:
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
