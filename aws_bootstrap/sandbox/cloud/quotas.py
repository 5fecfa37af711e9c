"""Service Quotas for EC2's vCPU quotas: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/

A request stays PENDING until someone decides it (`Quotas.decide`): nobody should learn from a rehearsal that AWS
grants GPUs at once.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from . import catalog
from .backend import Backends
from .call import Call
from .replies import Refusal

SERVICE = {"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)"}
OPEN = frozenset({"PENDING", "CASE_OPENED"})
PAGE = 100


class Quotas:
    """Answers for every region; values live with the region's EC2 backend, which enforces them."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self.requests: list[dict[str, Any]] = []
        self._actions = {
            "GetServiceQuota": self._get,
            "GetAWSDefaultServiceQuota": self._get_default,
            "ListServiceQuotas": self._list,
            "ListAWSDefaultServiceQuotas": self._list_defaults,
            "ListServices": self._services,
            "RequestServiceQuotaIncrease": self._request,
            "GetRequestedServiceQuotaChange": self._get_request,
            "ListRequestedServiceQuotaChangeHistory": self._history,
            "ListRequestedServiceQuotaChangeHistoryByQuota": self._history,
        }

    def answer(self, call: Call) -> Any:
        """The document that answers the call."""
        if call.action not in self._actions:
            raise Refusal("UnknownOperationException", f"The sandbox does not know {call.action}.")
        return self._actions[call.action](call.region, call.document())

    def set_value(self, region: str, code: str, value: float) -> None:
        """Sets what the account is granted, as AWS does when it grants a request."""
        _known(region, code)
        self._backends.region(region).quotas[code] = value

    def decide(self, request_id: str, status: str) -> dict[str, Any]:
        """Ends a request; APPROVED also changes the quota."""
        found = next((held for held in self.requests if held["Id"] == request_id), None)
        if found is None:
            raise Refusal("NoSuchResourceException", f"No request {request_id}.")
        found.update(Status=status, LastUpdated=time.time())
        if status == "APPROVED":
            self.set_value(found["region"], found["QuotaCode"], found["DesiredValue"])
        return found

    def _get(self, region: str, asked: dict[str, Any]) -> Any:
        """A quota that was ever changed; one that was not answers only as a default."""
        quota = self._asked(region, asked)
        return {"Quota": _shown(quota, region, self._backends.region(region).quota(quota.code))}

    def _get_default(self, region: str, asked: dict[str, Any]) -> Any:
        quota = self._asked(region, asked)
        return {"Quota": _shown(quota, region, quota.default)}

    def _list(self, region: str, asked: dict[str, Any]) -> Any:
        backend = self._backends.region(region)
        shown = [_shown(quota, region, backend.quota(quota.code)) for quota in _of(region, asked)]
        return _page("Quotas", shown, asked)

    def _list_defaults(self, region: str, asked: dict[str, Any]) -> Any:
        return _page("Quotas", [_shown(quota, region, quota.default) for quota in _of(region, asked)], asked)

    def _services(self, region: str, asked: dict[str, Any]) -> Any:
        return {"Services": [SERVICE]}

    def _asked(self, region: str, asked: dict[str, Any]) -> catalog.Quota:
        if asked.get("ServiceCode") != "ec2":
            raise _no_such()
        return _known(region, asked.get("QuotaCode", ""))

    def _request(self, region: str, asked: dict[str, Any]) -> Any:
        """A new request; AWS takes one at a time for a quota, and only for more."""
        quota = self._asked(region, asked)
        wanted = float(asked["DesiredValue"])
        if wanted <= self._backends.region(region).quota(quota.code):
            raise Refusal(
                "IllegalArgumentException", "You must provide a quota value greater than the current quota value."
            )
        if any(held["Status"] in OPEN for held in self._held(region, {"QuotaCode": quota.code})):
            raise Refusal(
                "ResourceAlreadyExistsException", "Only one open service quota increase request is allowed per quota."
            )
        request = {
            "Id": uuid.uuid4().hex + uuid.uuid4().hex[:8],
            **SERVICE,
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "DesiredValue": wanted,
            "Status": "PENDING",
            "Created": time.time(),
            "LastUpdated": time.time(),
            "Requester": f'{{"accountId":"{catalog.ACCOUNT}","callerArn":"arn:aws:iam::{catalog.ACCOUNT}:root"}}',
            "QuotaArn": _arn(region, quota.code),
            "GlobalQuota": False,
            "Unit": "None",
            "region": region,
        }
        self.requests.append(request)
        return {"RequestedQuota": _public(request)}

    def _get_request(self, region: str, asked: dict[str, Any]) -> Any:
        for held in self._held(region, {}):
            if held["Id"] == asked.get("RequestId"):
                return {"RequestedQuota": _public(held)}
        raise Refusal("NoSuchResourceException", "The specified resource does not exist.")

    def _history(self, region: str, asked: dict[str, Any]) -> Any:
        found = sorted(self._held(region, asked), key=lambda held: held["Created"], reverse=True)
        return _page("RequestedQuotas", [_public(held) for held in found], asked)

    def _held(self, region: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """The region's requests that fit the code and the status asked for."""
        return [
            held
            for held in self.requests
            if held["region"] == region
            and all(held[key] == asked[key] for key in ("QuotaCode", "Status") if key in asked)
        ]


def _known(region: str, code: str) -> catalog.Quota:
    quota = next((quota for quota in catalog.quota_codes(region) if quota.code == code), None)
    if quota is None:
        raise _no_such()
    return quota


def _no_such() -> Refusal:
    return Refusal("NoSuchResourceException", "The request failed because the specified service quota does not exist.")


def _of(region: str, asked: dict[str, Any]) -> list[catalog.Quota]:
    if asked.get("ServiceCode") != "ec2":
        raise _no_such()
    return [quota for quota in catalog.quota_codes(region) if asked.get("QuotaCode") in (None, quota.code)]


def _arn(region: str, code: str) -> str:
    return f"arn:aws:servicequotas:{region}:{catalog.ACCOUNT}:ec2/{code}"


def _shown(quota: catalog.Quota, region: str, value: float) -> dict[str, Any]:
    return {
        **SERVICE,
        "QuotaArn": _arn(region, quota.code),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _public(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "region"}


def _page(key: str, rows: list[Any], asked: dict[str, Any]) -> dict[str, Any]:
    """One page of rows, and the token of the next if there is one."""
    first, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or PAGE)
    more = {"NextToken": str(first + size)} if first + size < len(rows) else {}
    return {key: rows[first : first + size], **more}
