"""Service Quotas: how many vCPUs of each GPU family the account may run, and requests for more.

The verbs take a client first, return facts and print nothing. The codes are AWS's:
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from .aws import translate_aws_errors
from .errors import AwsError
from .models import Quota, QuotaChange
from .models.facts import MARKETS, Market
from .parallel import map_few_at_once

if TYPE_CHECKING:
    from types_boto3_service_quotas import ServiceQuotasClient
    from types_boto3_service_quotas.literals import RequestStatusType
    from types_boto3_service_quotas.type_defs import (
        GetAWSDefaultServiceQuotaResponseTypeDef,
        GetServiceQuotaResponseTypeDef,
        RequestedServiceQuotaChangeTypeDef,
    )

    type QuotaReply = GetServiceQuotaResponseTypeDef | GetAWSDefaultServiceQuotaResponseTypeDef

SERVICE = "ec2"
STATUSES = ("PENDING", "CASE_OPENED", "APPROVED", "DENIED", "CASE_CLOSED", "NOT_APPROVED")
OPEN = ("PENDING", "CASE_OPENED")

# To add a family, add its two codes here.
CODES: dict[str, dict[Market, str]] = {
    "gvt": {"spot": "L-3819A6DF", "on-demand": "L-DB2E81BA"},
    "p": {"spot": "L-7212CCBC", "on-demand": "L-417A185B"},
    "p5": {"spot": "L-C4BD4855", "on-demand": "L-417A185B"},
    "dl": {"spot": "L-85EED4F7", "on-demand": "L-6E869C2A"},
}
FAMILIES = tuple(CODES)

#: So many calls at the same time in one region. AWS allows 5 GetServiceQuota a second, and 5 more in a burst:
#: https://docs.aws.amazon.com/servicequotas/latest/userguide/reference_limits.html
_AT_ONCE = 4

#: AWS has been folding the P5 spot quota into P's: a region may not know its code any more.
_FALLBACK = {("p5", "spot"): "p"}


@dataclass(frozen=True)
class QuotaKey:
    """What a quota limits: one instance family in one market. A row of the table above."""

    family: str
    market: Market

    @property
    def code(self) -> str:
        """Return AWS's code of the quota."""
        return CODES[self.family][self.market]

    @property
    def fallback(self) -> QuotaKey | None:
        """Return the key that applies in a region that does not know this code."""
        family = _FALLBACK.get((self.family, self.market))
        if family is None:
            return None
        return QuotaKey(family, self.market)


def quota_keys(family: str | None = None, market: Market | None = None) -> tuple[QuotaKey, ...]:
    """Return the keys of a family (None: all) and a market (None: both)."""
    keys: list[QuotaKey] = []
    for each_family in FAMILIES:
        for each_market in MARKETS:
            if family in (None, each_family) and market in (None, each_market):
                keys.append(QuotaKey(each_family, each_market))
    return tuple(keys)


def find_quotas(client: ServiceQuotasClient, codes: Iterable[str]) -> dict[str, Quota]:
    """Return the quotas that the region knows, by code; each code is looked up once."""
    distinct = list(dict.fromkeys(codes))
    quotas = map_few_at_once(partial(find_quota, client), distinct, _AT_ONCE)
    found: dict[str, Quota] = {}
    for code, quota in zip(distinct, quotas, strict=True):
        if quota:
            found[code] = quota
    return found


def find_quota(client: ServiceQuotasClient, code: str) -> Quota | None:
    """Return the account's quota; AWS's default if it was never changed; None if the region does not know it."""
    current = _read(client.get_service_quota, code)
    if current:
        return current
    return _read(client.get_aws_default_service_quota, code)


@translate_aws_errors()
def find_changes(client: ServiceQuotasClient, status: str | None = None) -> list[QuotaChange]:
    """Return every request for an EC2 quota in the client's region, or those of a status."""
    paginator = client.get_paginator("list_requested_service_quota_change_history")
    if status:
        pages = paginator.paginate(ServiceCode=SERVICE, Status=cast("RequestStatusType", status))
    else:
        pages = paginator.paginate(ServiceCode=SERVICE)
    found: list[QuotaChange] = []
    for page in pages:
        for raw in page["RequestedQuotas"]:
            found.append(_change(raw))
    return found


@translate_aws_errors()
def find_open_change(client: ServiceQuotasClient, code: str) -> QuotaChange | None:
    """Return the request for this quota that AWS has yet to decide."""
    paginator = client.get_paginator("list_requested_service_quota_change_history_by_quota")
    for page in paginator.paginate(ServiceCode=SERVICE, QuotaCode=code):
        for raw in page["RequestedQuotas"]:
            if raw.get("Status") in OPEN:
                return _change(raw)
    return None


@translate_aws_errors()
def request_increase(client: ServiceQuotasClient, code: str, desired_value: float) -> QuotaChange:
    """Send a request for this quota; return it as AWS answers."""
    reply = client.request_service_quota_increase(
        ServiceCode=SERVICE, QuotaCode=code, DesiredValue=float(desired_value)
    )
    raw = reply["RequestedQuota"]
    # The request replaces what the reply lacks.
    raw.setdefault("QuotaCode", code)
    raw.setdefault("DesiredValue", desired_value)
    return _change(raw)


def _read(operation: Callable[..., QuotaReply], code: str) -> Quota | None:
    """Return the quota that this operation reads; None if AWS does not know it."""
    try:
        with translate_aws_errors():
            raw = operation(ServiceCode=SERVICE, QuotaCode=code)["Quota"]
            return Quota(raw.get("QuotaCode", code), raw.get("QuotaName", ""), float(raw["Value"]))
    except AwsError as exc:
        if exc.aws_code == "NoSuchResourceException":
            return None
        raise


def _change(raw: RequestedServiceQuotaChangeTypeDef) -> QuotaChange:
    """Return the request of a reply."""
    return QuotaChange(
        request_id=raw.get("Id", "unknown"),
        status=raw.get("Status", "unknown"),
        code=raw["QuotaCode"],
        name=raw.get("QuotaName", ""),
        desired_value=float(raw.get("DesiredValue", 0)),
        created=raw.get("Created"),
        case_id=raw.get("CaseId"),
    )
