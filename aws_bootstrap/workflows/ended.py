"""Why boxes have ended: by EC2's state reason, else by the spot request or what the guardian wrote to the console."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, cast, get_args

from .. import ec2, output
from ..aws import without_waiting
from ..errors import BootstrapError
from ..models import EndedBox, Instance
from ..models.status import EndReason, EndSource
from ..parallel import run_parallel
from ..sshconfig import Host
from .owners import is_yours

if TYPE_CHECKING:
    from ..app import App

#: A reason and its source.
type Why = tuple[EndReason, EndSource | None]

_UNKNOWN: Why = ("unknown", None)
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_STATE_REASONS: dict[str, EndReason] = {
    "Client.UserInitiatedShutdown": "user",
    "Server.SpotInstanceShutdown": "spot-interruption",
    "Server.SpotInstanceTermination": "spot-interruption",
}
#: The box powered itself off: its console says why.
_SELF_SHUTDOWN = "Client.InstanceInitiatedShutdown"
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
_SPOT_STATUSES: dict[str, EndReason] = {
    "instance-terminated-by-price": "spot-interruption",
    "instance-terminated-by-user": "user",
    "instance-terminated-capacity-oversubscribed": "spot-interruption",
    "instance-terminated-no-capacity": "spot-interruption",
}
#: What resources/guardian/ writes to the console.
_END = re.compile(r"aws-bootstrap: this box ends: ([a-z-]+)")
_INTERRUPTION = "aws-bootstrap: spot interruption:"
#: So many consoles are read in a region, of the boxes that ended last.
_CONSOLES = 10


def ended_boxes(
    app: App, instances: Iterable[Instance], hosts: Iterable[Host], caller: str | None
) -> tuple[EndedBox, ...]:
    """Return these terminated instances with the reason of each, in the order of their end.

    Spot requests and consoles are read only where the state reason leaves it open. Warn of those that cannot be read.
    """
    host_by_id = {host.instance_id: host for host in hosts}
    in_order = sorted(instances, key=_ended_at)
    reasons = _read_open(app, in_order)
    boxes: list[EndedBox] = []
    for instance in in_order:
        reason, source = _by_state_reason(instance) or reasons.get(instance.instance_id, _UNKNOWN)
        host = host_by_id.get(instance.instance_id)
        settings = instance.settings
        if host and settings is None:
            settings = host.settings
        boxes.append(
            EndedBox(
                instance_id=instance.instance_id,
                ssh_alias=host.alias if host else None,
                region=instance.region,
                reason=reason,
                source=source,
                ended_at=instance.ended_at,
                owner=instance.owner,
                yours=is_yours(instance.owner, caller),
                cluster=instance.cluster,
                rank=instance.rank,
                has_settings=settings is not None,
            )
        )
    return tuple(boxes)


def _ended_at(instance: Instance) -> datetime:
    """Return what to sort by: when it ended; one whose end is unknown comes first."""
    return instance.ended_at or datetime.min.replace(tzinfo=UTC)


def _by_state_reason(instance: Instance) -> Why | None:
    """Return the reason that EC2's code states; None if it leaves it open."""
    reason = _STATE_REASONS.get(instance.state_reason_code or "")
    if reason is None:
        return None
    return reason, "state-reason"


def _read_open(app: App, in_order: Sequence[Instance]) -> dict[str, Why]:
    """Return the reasons that spot requests and consoles state, by instance id, all read at the same time."""
    consoles: dict[str, list[Instance]] = {}
    spot: dict[str, list[Instance]] = {}
    for instance in in_order:
        if instance.state_reason_code == _SELF_SHUTDOWN:
            consoles.setdefault(instance.region, []).append(instance)
        elif instance.spot_request_id and _by_state_reason(instance) is None:
            spot.setdefault(instance.region, []).append(instance)
    calls: list[Callable[[], dict[str, Why]]] = []
    for region, instances in spot.items():
        calls.append(partial(_by_spot_requests, app, region, instances))
    for instances in consoles.values():
        for instance in instances[-_CONSOLES:]:
            calls.append(partial(_by_console, app, instance))
    found: dict[str, Why] = {}
    for reasons in run_parallel(calls):
        found |= reasons
    return found


def _by_spot_requests(app: App, region: str, instances: Sequence[Instance]) -> dict[str, Why]:
    """Return the reasons that the spot requests of one region state."""
    id_by_request = {str(instance.spot_request_id): instance.instance_id for instance in instances}

    def read(name: str) -> dict[str, str]:
        return ec2.spot_request_statuses(app.aws.ec2(name), list(id_by_request))

    try:
        statuses = without_waiting(region, read)
    except BootstrapError as exc:
        output.warn(f"Could not read why spot boxes in {region} ended: {exc}", code="end-unknown", region=region)
        return {}
    reasons: dict[str, Why] = {}
    for request_id, status in statuses.items():
        reason = _SPOT_STATUSES.get(status)
        if reason and request_id in id_by_request:
            reasons[id_by_request[request_id]] = (reason, "spot-request")
    return reasons


def _by_console(app: App, instance: Instance) -> dict[str, Why]:
    """Return the reason that the box wrote to its console; nothing if it wrote none."""
    instance_id = instance.instance_id

    def read(region: str) -> str:
        return ec2.console_output(app.aws.ec2(region), instance_id)

    try:
        reason = console_reason(without_waiting(instance.region, read))
    except BootstrapError as exc:
        message = f"Could not read why {instance_id} ended: {exc}"
        output.warn(message, code="end-unknown", instance_id=instance_id, region=instance.region)
        return {}
    if reason is None:
        return {}
    return {instance_id: (reason, "console")}


def console_reason(text: str) -> EndReason | None:
    """Return why a box ended, as its guardian wrote it to the console; None without a word that is known."""
    written = _END.findall(text)
    if written and written[-1] in get_args(EndReason):
        return cast("EndReason", written[-1])
    if not written and _INTERRUPTION in text:
        return "spot-interruption"
    return None
