"""Boxes that run before a launch: one that was forgotten bills beside the new one, so the launch names it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ... import ec2, output
from ...aws import without_waiting
from ...errors import BootstrapError
from ...invocation import PROGRAM
from ...models import Instance
from ...parallel import map_parallel
from ..inventory import managed_hosts
from ..owners import is_of_another

if TYPE_CHECKING:
    from ...app import App

_BILLING = ("pending", "running")


def read_running(app: App, regions: Iterable[str]) -> tuple[Instance, ...]:
    """Return the boxes that run in these regions, those of a region that does not answer left out. Never raise for it.

    The launch can be done without this answer.
    """
    running: list[Instance] = []
    for found in map_parallel(partial(_read, app), dict.fromkeys(regions)):
        for instance in found:
            if instance.state in _BILLING:
                running.append(instance)
    return tuple(running)


def _read(app: App, region: str) -> list[Instance]:
    def read(_: str) -> list[Instance]:
        return ec2.find_instances(app.aws.ec2(region))

    try:
        return without_waiting(region, read)
    except BootstrapError:
        return []


def warn_of_running(
    app: App, running: Iterable[Instance], caller: str | None = None, now: datetime | None = None
) -> None:
    """Warn of each box that runs already and may be the caller's: its name, its age, and the command that ends it."""
    aliases: dict[str, str] = {}
    for host in managed_hosts(app):
        aliases[host.instance_id] = host.alias
    for box in running:
        if is_of_another(box.owner, caller):
            continue
        name = aliases.get(box.instance_id, box.instance_id)
        what = f"{name} ({box.instance_type}, {box.lifecycle}) in {box.region} is running already"
        message = f"{what}, launched {_age(box, now or datetime.now(UTC))}. End it: {PROGRAM} terminate {name}"
        output.warn(message, code="box-running", instance_id=box.instance_id, region=box.region)


def _age(box: Instance, now: datetime) -> str:
    """Return how long ago the box was launched, in its largest whole unit."""
    if box.launch_time is None:
        return "at an unknown time"
    elapsed = now - box.launch_time
    minutes = max(0, int(elapsed.total_seconds())) // 60
    if minutes < 120:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return f"{minutes // (24 * 60)} d ago"
