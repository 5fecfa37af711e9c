"""The spot requests of instances that RunInstances launched. moto has only those of RequestSpotInstances.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from .instances import NOT_LIVE, SELF_SHUTDOWN, SPOT_TERMINATED, USER_TERMINATED, SandboxInstance

_FULFILLED = ("active", "fulfilled", "Your spot request is fulfilled.")
_NO_CAPACITY = (
    "closed",
    "instance-terminated-no-capacity",
    "Your Spot instance was terminated because there is no Spot capacity available that matches your request.",
)
_SYSTEM_ERROR = ("closed", "system-error", "There was an unexpected system error.")
_BY_USER = ("closed", "instance-terminated-by-user", "Spot Instance terminated due to user-initiated termination.")
_ENDED = {USER_TERMINATED: _BY_USER, SELF_SHUTDOWN: _BY_USER, SPOT_TERMINATED: _NO_CAPACITY}
_FILTERS = {
    "instance-id": "InstanceId",
    "spot-instance-request-id": "SpotInstanceRequestId",
    "state": "State",
}


def find(
    instances: Iterable[SandboxInstance], request_ids: Sequence[str], filters: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return the spot requests of these ids that pass the filters; raise EC2's error for an unknown id."""
    requests: dict[str, dict[str, Any]] = {}
    for instance in instances:
        if instance.spot_request_id:
            requests[instance.spot_request_id] = _facts(instance)
    for request_id in request_ids:
        if request_id not in requests:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{request_id}' does not exist"
            )
    found: list[dict[str, Any]] = []
    for request_id, request in requests.items():
        if (not request_ids or request_id in request_ids) and _passes(request, filters):
            found.append(request)
    return found


def _passes(request: Mapping[str, Any], filters: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the request passes every filter; filters that this action lacks here are ignored."""
    for name, values in filters.items():
        field = _FILTERS.get(name)
        if field and request[field] not in values:
            return False
    return True


def _facts(instance: SandboxInstance) -> dict[str, Any]:
    """Return one entry of DescribeSpotInstanceRequests."""
    state, code, message = _FULFILLED
    if instance.state in NOT_LIVE:
        state, code, message = _ENDED.get(instance.end_reason, _SYSTEM_ERROR)
    return {
        "InstanceId": instance.id,
        "LaunchedAvailabilityZone": instance.availability_zone,
        "SpotInstanceRequestId": instance.spot_request_id,
        "State": state,
        "Status": {"Code": code, "Message": message, "UpdateTime": _updated(instance)},
        "Type": "one-time",
    }


def _updated(instance: SandboxInstance) -> datetime:
    """Return when the request got its status."""
    return datetime.fromtimestamp(instance.ended_at or instance.running_since, UTC)
