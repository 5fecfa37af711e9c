"""Stop on-demand boxes: their instances bill no more, their disks do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...errors import BootstrapError, Interrupted
from ...invocation import PROGRAM
from ...models import MonthlyCost, StoppedBox, StopReport
from ...models.cost import monthly_total
from ...models.facts import InstanceState
from .. import costs
from ..box import Box
from ..inventory import select
from ..unknown import Calls
from .changes import BoxChange, Changes, unknown_hint

if TYPE_CHECKING:
    from ...app import App

_STOPPED = ("stopping", "stopped")


def plan(app: App, names: Sequence[str]) -> tuple[StoppedBox, ...]:
    """Return the boxes with these aliases or ids as they are before the stop, with what goes on billing.

    BootstrapError `spot-not-stoppable` if one of them is a spot box: then none is stopped.
    """
    return tuple(_shown(box, box.instance.state) for box in _find(app, names))


def _find(app: App, names: Sequence[str]) -> tuple[Box, ...]:
    boxes = select(app, names, volumes="with-roots")
    for box in boxes:
        if box.instance.lifecycle == "spot":
            raise _is_spot(box)
    return boxes


def _is_spot(box: Box) -> BootstrapError:
    """Return the error for a spot box, with what to do instead."""
    name = box.alias or box.instance_id
    hint = f"Copy what you need from it, then end it: {PROGRAM} terminate {name}"
    if box.volumes:
        hint = (
            f"End it and keep its data volume: {PROGRAM} terminate {name} --keep-ebs\n"
            f"Launch it again later, with that volume: {PROGRAM} relaunch {box.instance_id}\n"
            f"Or copy the volume, for any zone: {PROGRAM} volume snapshot {name}"
        )
    return BootstrapError(
        f"{name} is a spot box with a one-time request, which EC2 cannot stop, only terminate.",
        hint=hint,
        code="spot-not-stoppable",
    )


def apply(app: App, names: Sequence[str]) -> StopReport:
    """Stop these boxes and wait until they are stopped. If some fail, raise an error with the report of the rest."""
    boxes: list[BoxChange] = []
    for box in _find(app, names):
        boxes.append(BoxChange(box, box.instance, f"the stop of {box.instance_id}"))
    changes = Changes(app, boxes, Calls(app.lookup_seconds))
    try:
        changes.apply(partial(_stop, changes))
    except KeyboardInterrupt as exc:
        changes.calls.settle()
        hints = [unknown_hint(changes, boxes, "stops"), f"See its state: {PROGRAM} status"]
        error = Interrupted.of(exc, hint="\n".join(filter(None, hints)))
        raise error.attach_result(_report(changes)) from exc
    if changes.failed:
        error_of_rest = changes.failure("stop")
        hints = [error_of_rest.hint, unknown_hint(changes, boxes, "stops")]
        error_of_rest.add_details(hint="\n".join(filter(None, hints)) or None)
        raise error_of_rest.attach_result(_report(changes))
    return _report(changes)


def _stop(changes: Changes, change: BoxChange) -> None:
    """Stop one box. One that is stopped, or about to be, needs no call."""
    client = changes.app.aws.ec2(change.box.region)
    instance_id = change.box.instance_id
    if change.instance.state not in _STOPPED:
        changes.calls.make(
            change.call,
            partial(ec2.stop_instance, client, instance_id),
            look=partial(ec2.find_in_state, client, instance_id, *_STOPPED),
            note=change.note_accepted,
        )
    if change.instance.state != "stopped":
        output.info(f"Waiting until {change.name} is stopped")
        change.instance = ec2.wait_stopped(client, instance_id)


def _report(changes: Changes) -> StopReport:
    """Return what was stopped so far, or is about to be."""
    stopped: list[StoppedBox] = []
    for change in changes.boxes:
        state = change.instance.state
        if change.accepted and state not in _STOPPED:
            state = "stopping"
        if state in _STOPPED:
            stopped.append(_shown(change.box, state))
    return StopReport(tuple(stopped))


def _shown(box: Box, state: InstanceState) -> StoppedBox:
    """Return the box for the report, with what its disks cost."""
    monthly_costs = costs_while_stopped(box)
    return StoppedBox(
        instance_id=box.instance_id,
        ssh_alias=box.alias,
        region=box.region,
        previous_state=box.instance.state,
        current_state=state,
        monthly_cost_usd=monthly_total(monthly_costs),
        monthly_costs=monthly_costs,
        deadline=box.instance.deadline,
    )


def costs_while_stopped(box: Box) -> tuple[MonthlyCost, ...]:
    """Return what a stopped box costs a month: its disks. EC2 takes the public address back."""
    return costs.monthly_costs(replace(box, instance=replace(box.instance, public_ip=None)))
