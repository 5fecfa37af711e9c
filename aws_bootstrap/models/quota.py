"""Results of `quota`, and the facts of Service Quotas that they show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .base import Result, optional
from .facts import Market, RegionFailure

#: The vCPUs of each family's smallest box with a GPU: g4dn.xlarge, p3.2xlarge, p5.4xlarge, dl1.24xlarge.
SMALLEST_BOX = {"gvt": 4, "p": 8, "p5": 16, "dl": 96}


@dataclass(frozen=True)
class Quota:
    """One vCPU quota as Service Quotas has it."""

    code: str
    name: str
    value: float


def value_to_request(current: float | None, vcpus: int) -> int:
    """Return the quota to request for boxes of so many vCPUs: two boxes more than the current quota allows.

    AWS accepts no request that does not exceed the current quota, which may be in use. It reviews each request, so it
    is for two boxes. A quota that is not known counts as 0, since the request is only a suggestion.
    """
    at_least_one = max(vcpus, 1)  # EC2's reply may lack the vCPUs of a type
    return int(current or 0) + 2 * at_least_one


@dataclass(frozen=True)
class QuotaChange:
    """One request to raise a quota, as Service Quotas has it."""

    request_id: str
    status: str
    code: str
    name: str
    desired_value: float
    created: datetime | None = None
    case_id: str | None = None


@dataclass(frozen=True)
class QuotaIncrease:
    """A request to send: from which value to which. `note` says what is unusual."""

    region: str
    quota_name: str
    current_value: float
    desired_value: int
    note: str | None = None


@dataclass(frozen=True)
class QuotaRow:
    """One quota of one region: how many vCPUs of the family may run in that market. `note` says what is unusual."""

    region: str
    family: str
    quota_type: Market
    quota_code: str
    quota_name: str
    value: float
    note: str | None = optional()


@dataclass(frozen=True)
class QuotaRequestRow:
    """One request to raise a quota."""

    request_id: str
    status: str
    quota_code: str
    quota_name: str
    desired_value: float
    region: str
    quota_type: Market
    family: str
    case_id: str | None = optional()
    note: str | None = optional()


@dataclass(frozen=True)
class QuotaHistoryRow:
    """One request to raise a quota, and when it was sent."""

    request_id: str
    status: str
    quota_code: str
    quota_name: str
    desired_value: float
    region: str
    quota_type: Market
    family: str
    created: datetime | None
    case_id: str | None = optional()


@dataclass(frozen=True)
class QuotaReport(Result):
    """The vCPU quotas of the regions queried."""

    quotas: tuple[QuotaRow, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class QuotaRequests(Result):
    """The requests sent."""

    requests: tuple[QuotaRequestRow, ...]
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class QuotaHistory(Result):
    """The requests sent so far, newest first."""

    requests: tuple[QuotaHistoryRow, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
