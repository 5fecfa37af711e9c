"""Service Quotas for EC2's vCPU quotas: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/

A request stays PENDING until a test decides it (`Quotas.decide`): a rehearsal must not suggest that AWS approves GPU
quotas at once.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from . import catalog
from .aws_call import AwsCall
from .backend import Backends
from .http_responses import ServiceError

SERVICE = {"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)"}
OPEN = frozenset({"PENDING", "CASE_OPENED"})
PAGE = 100


class Quotas:
    """The Service Quotas actions, for every region; the region's EC2 backend stores the values and enforces them."""

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

    def handle(self, call: AwsCall) -> Any:
        """Return the body of the response to the call."""
        if call.action not in self._actions:
            raise ServiceError("UnknownOperationException", f"The sandbox does not implement {call.action}.")
        return self._actions[call.action](call.region, call.document())

    def set_value(self, region: str, code: str, value: float) -> None:
        """Set the account's value of a quota, as AWS does when it approves a request."""
        _get_quota(region, code)
        self._backends.region(region).quotas[code] = value

    def decide(self, request_id: str, status: str) -> dict[str, Any]:
        """Set the final status of a request and return it; APPROVED also changes the quota."""
        found = next((request for request in self.requests if request["Id"] == request_id), None)
        if found is None:
            raise ServiceError("NoSuchResourceException", f"No request {request_id}.")
        found.update(Status=status, LastUpdated=time.time())
        if status == "APPROVED":
            self.set_value(found["region"], found["QuotaCode"], found["DesiredValue"])
        return found

    def _get(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return the account's value of a quota."""
        quota = self._requested_quota(region, parameters)
        return {"Quota": _shown(quota, region, self._backends.region(region).quota(quota.code))}

    def _get_default(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return the default value of a quota."""
        quota = self._requested_quota(region, parameters)
        return {"Quota": _shown(quota, region, quota.default)}

    def _list(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return a page of the account's values."""
        backend = self._backends.region(region)
        shown = [_shown(quota, region, backend.quota(quota.code)) for quota in _requested_quotas(region, parameters)]
        return _page("Quotas", shown, parameters)

    def _list_defaults(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return a page of the default values."""
        return _page(
            "Quotas",
            [_shown(quota, region, quota.default) for quota in _requested_quotas(region, parameters)],
            parameters,
        )

    def _services(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return the one service whose quotas exist here."""
        return {"Services": [SERVICE]}

    def _requested_quota(self, region: str, parameters: dict[str, Any]) -> catalog.Quota:
        """Return the quota that the request names; raise ServiceError if there is none."""
        if parameters.get("ServiceCode") != "ec2":
            raise _no_such_quota()
        return _get_quota(region, parameters.get("QuotaCode", ""))

    def _request(self, region: str, parameters: dict[str, Any]) -> Any:
        """Create a request; AWS allows one open request per quota, and only for an increase."""
        quota = self._requested_quota(region, parameters)
        desired = float(parameters["DesiredValue"])
        if desired <= self._backends.region(region).quota(quota.code):
            raise ServiceError(
                "IllegalArgumentException", "You must provide a quota value greater than the current quota value."
            )
        if any(request["Status"] in OPEN for request in self._matching_requests(region, {"QuotaCode": quota.code})):
            raise ServiceError(
                "ResourceAlreadyExistsException", "Only one open service quota increase request is allowed per quota."
            )
        request = {
            "Id": uuid.uuid4().hex + uuid.uuid4().hex[:8],
            **SERVICE,
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "DesiredValue": desired,
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

    def _get_request(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return the request of this id."""
        for request in self._matching_requests(region, {}):
            if request["Id"] == parameters.get("RequestId"):
                return {"RequestedQuota": _public(request)}
        raise ServiceError("NoSuchResourceException", "The specified resource does not exist.")

    def _history(self, region: str, parameters: dict[str, Any]) -> Any:
        """Return a page of requests, newest first."""
        found = sorted(
            self._matching_requests(region, parameters), key=lambda request: request["Created"], reverse=True
        )
        return _page("RequestedQuotas", [_public(request) for request in found], parameters)

    def _matching_requests(self, region: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the region's requests that match the QuotaCode and the Status of the parameters, if any."""
        return [
            request
            for request in self.requests
            if request["region"] == region
            and all(request[key] == parameters[key] for key in ("QuotaCode", "Status") if key in parameters)
        ]


def _get_quota(region: str, code: str) -> catalog.Quota:
    """Return the quota of this code; raise ServiceError if the region lacks it."""
    quota = next((quota for quota in catalog.quota_codes(region) if quota.code == code), None)
    if quota is None:
        raise _no_such_quota()
    return quota


def _no_such_quota() -> ServiceError:
    return ServiceError(
        "NoSuchResourceException", "The request failed because the specified service quota does not exist."
    )


def _requested_quotas(region: str, parameters: dict[str, Any]) -> list[catalog.Quota]:
    """Return the quota that the request names, or all quotas of the region."""
    if parameters.get("ServiceCode") != "ec2":
        raise _no_such_quota()
    return [quota for quota in catalog.quota_codes(region) if parameters.get("QuotaCode") in (None, quota.code)]


def _arn(region: str, code: str) -> str:
    return f"arn:aws:servicequotas:{region}:{catalog.ACCOUNT}:ec2/{code}"


def _shown(quota: catalog.Quota, region: str, value: float) -> dict[str, Any]:
    """Return the quota as AWS shows it."""
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
    """Return the request as AWS shows it."""
    return {key: value for key, value in request.items() if key != "region"}


def _page(key: str, rows: list[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return one page of rows, and the token of the next page if there is one."""
    first, size = int(parameters.get("NextToken") or 0), int(parameters.get("MaxResults") or PAGE)
    more = {"NextToken": str(first + size)} if first + size < len(rows) else {}
    return {key: rows[first : first + size], **more}
