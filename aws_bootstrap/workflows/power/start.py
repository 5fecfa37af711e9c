"""Start stopped boxes: at the new address that EC2 gives them, and with limits that have not passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ... import defaults, ec2, known_hosts, output, sshconfig
from ...config import LaunchConfig
from ...errors import AwsError, BootstrapError, CapacityError, Interrupted, UsageError
from ...invocation import PROGRAM
from ...models import ExtendReport, Instance, Prices, Resource, StartedBox, StartReport
from ...models.cost import monthly_total
from ...models.facts import seconds_until
from ...ssh import LoginTimeouts
from ...sshconfig import Host
from .. import alias_changes, costs, extend
from ..box import Box
from ..hosts import read_hosts
from ..inventory import select
from ..unknown import Calls
from ..unreachable import hint_on_timeout
from .changes import BoxChange, Changes, unknown_hint

if TYPE_CHECKING:
    from ...app import App

_STARTED = ("pending", "running")
#: A box that boots answers SSH after a while.
_TIMEOUTS = LoginTimeouts(unanswered=defaults.SSH_SECONDS)


@dataclass
class _Start(Changes):
    """The start of several boxes: with the limits to set, or None, and with what is known of each so far."""

    limits: extend.LimitChange | None = None
    prices: Prices = field(default_factory=Prices)
    #: By instance id.
    hosts: dict[str, Host] = field(default_factory=dict)
    limits_set: dict[str, ExtendReport] = field(default_factory=dict)


def apply(app: App, names: Sequence[str], limits: extend.LimitChange | None = None) -> StartReport:
    """Start these boxes, and wait until they answer by SSH. If some fail, raise an error with the report of the rest.

    UsageError if the deadline of one has passed and no limits are given: its guardian would end it in 15 minutes.
    """
    found = select(app, names, volumes="with-roots")
    if limits is None:
        _check_deadlines(found, datetime.now(UTC))
    boxes: list[BoxChange] = []
    for box in found:
        boxes.append(BoxChange(box, box.instance, f"the start of {box.instance_id}"))
    prices = _read_prices(app, found)
    start = _Start(app, boxes, Calls(app.lookup_seconds), limits, prices)
    try:
        start.apply(partial(_start, start))
    except KeyboardInterrupt as exc:
        start.calls.settle()
        raise _with_report(start, Interrupted.of(exc)) from exc
    if start.failed:
        raise _with_report(start, start.failure("start"))
    return _report(start)


def _check_deadlines(boxes: Sequence[Box], now: datetime) -> None:
    """Raise UsageError for the stopped boxes whose deadline has passed."""
    overdue: list[str] = []
    for box in boxes:
        deadline = box.instance.deadline
        if deadline and deadline <= now and box.instance.state not in _STARTED:
            overdue.append(box.alias or box.instance_id)
    if overdue:
        names = " ".join(overdue)
        raise UsageError(
            f"The deadline of {', '.join(overdue)} has passed: 15 minutes after its start it would end itself.",
            hint=f"Set a new one: {PROGRAM} start {names} --ttl 8h\nOr remove it: {PROGRAM} start {names} --never",
        )


def _read_prices(app: App, boxes: Sequence[Box]) -> Prices:
    """Return what the boxes will cost while they run: read before any of them bills."""
    return costs.read_instance_prices(app, [replace(box.instance, state="running") for box in boxes])


def _start(start: _Start, change: BoxChange) -> None:
    """Start one box; write its address into the SSH config; wait for SSH, and set its limits if any are given."""
    app = start.app
    client = app.aws.ec2(change.box.region)
    instance_id = change.box.instance_id
    if change.instance.state not in _STARTED:
        if change.instance.state == "stopping":
            output.info(f"Waiting until {change.name} is stopped")
            change.instance = ec2.wait_stopped(client, instance_id)
        output.info(f"Starting {change.name} ({change.instance.instance_type})")
        try:
            start.calls.make(
                change.call,
                partial(ec2.start_instance, client, instance_id),
                look=partial(ec2.find_in_state, client, instance_id, *_STARTED),
                note=change.note_accepted,
            )
        except AwsError as exc:
            raise _explained(change, exc) from exc
    try:
        change.instance = ec2.wait_started(client, instance_id)
    except CapacityError as exc:
        change.accepted = None  # EC2 took it back
        raise _explained(change, exc) from exc
    host = _with_address(app, change)
    start.hosts[instance_id] = host
    box = replace(change.box, instance=change.instance, host=host)
    if start.limits:
        start.limits_set[instance_id] = extend.change_box(app, box, start.limits, _TIMEOUTS)
    else:
        output.info(f"Waiting until {host.alias} answers by SSH")
        with hint_on_timeout(app, host):
            app.ssh.run(host.alias, "true", timeouts=_TIMEOUTS)


def _explained(change: BoxChange, error: AwsError) -> BootstrapError:
    """Return the error of a start with what helps here: a stopped instance can start in its own zone alone."""
    if isinstance(error, CapacityError):
        zone = change.instance.availability_zone
        hint = f"A stopped box starts in its own zone alone ({zone}). Try again later: {PROGRAM} start {change.name}"
        if change.box.volumes:
            hint += f"\nOr take its data to another zone: {PROGRAM} volume snapshot {change.name}"
        error.add_details(hint=hint)
    return error


def _with_address(app: App, change: BoxChange) -> Host:
    """Return how ssh reaches the box at its new address, as it is in the SSH config from now on."""
    host = change.box.host
    address = ec2.get_address(change.instance)
    if host is None:
        (host,) = read_hosts(app, [change.instance], LaunchConfig())
        host = replace(host, alias=sshconfig.add(app.paths.ssh_config, host))
        known_hosts.ensure(app.paths.known_hosts)
        output.info(f"Added the alias {host.alias} for {host.instance_id}")
    elif host.hostname != address:
        host = alias_changes.at_address(app, host, change.instance, LaunchConfig())
        sshconfig.add(app.paths.ssh_config, host)
    return host


def _with_report(start: _Start, error: BootstrapError) -> BootstrapError:
    """Return the error with the report, the boxes that bill now, and how to stop them again."""
    billing: list[Resource] = []
    hints = [error.hint, unknown_hint(start, start.boxes, "starts")]
    for change in start.boxes:
        if start.may_have_changed(change):
            billing.append(Resource("instance", change.box.instance_id, change.box.region, billing=True))
            if not change.is_done:
                hints.append(f"Go on: {PROGRAM} start {change.name}")
                hints.append(f"Stop it again: {PROGRAM} stop {change.name}")
    error.add_details(resources=tuple(billing), hint="\n".join(filter(None, hints)) or None)
    return error.attach_result(_report(start))


def _report(start: _Start) -> StartReport:
    """Return what was started so far, or ran before."""
    now = datetime.now(UTC)
    started: list[StartedBox] = []
    for change in start.boxes:
        instance = change.instance
        if change.accepted and instance.state not in _STARTED:
            instance = replace(instance, state="pending")
        if instance.state in _STARTED:
            started.append(_shown(start, change, instance, now))
    return StartReport(tuple(started))


def _shown(start: _Start, change: BoxChange, instance: Instance, now: datetime) -> StartedBox:
    """Return the box for the report."""
    host = start.hosts.get(instance.instance_id, change.box.host)
    limits = start.limits_set.get(instance.instance_id)
    monthly_costs = costs.monthly_costs(replace(change.box, instance=instance))
    shown = StartedBox(
        instance_id=instance.instance_id,
        ssh_alias=host.alias if host else None,
        region=instance.region,
        availability_zone=instance.availability_zone,
        previous_state=change.box.instance.state,
        current_state=instance.state,
        instance_type=instance.instance_type,
        public_ip=instance.public_ip,
        price_per_hour=start.prices.of_instance(instance),
        monthly_cost_usd=monthly_total(monthly_costs),
        monthly_costs=monthly_costs,
        deadline=instance.deadline,
        idle_timeout_seconds=instance.idle_timeout,
        lifecycle=instance.lifecycle,
        user=host.user if host else "",
        seconds_left=seconds_until(instance.deadline, now),
    )
    if limits is None:
        return shown
    return replace(
        shown,
        deadline=limits.deadline,
        idle_timeout_seconds=limits.idle_timeout_seconds,
        seconds_left=limits.seconds_left,
        tag_error=limits.tag_error,
        tag_command=limits.tag_command,
    )
