"""Find the boxes and volumes of the regions named, or of all regions, and their cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from .. import ec2, output, parallel, sshconfig
from ..config import DEFAULT_USER
from ..errors import BootstrapError
from ..gpu import GpuInfo
from ..idleness import Idleness
from ..invocation import PROGRAM
from ..models import (
    Instance,
    InstanceStatus,
    OrphanVolume,
    Prices,
    StatusReport,
    Volume,
    VolumeStatus,
)
from ..models import cost as money
from ..models.facts import seconds_until
from ..outcomes import failed_regions
from . import costs
from .access import blocked_address_hint
from .box import Box
from .ended import ended_boxes
from .inventory import managed_hosts, orphan_volumes, read
from .owners import find_owner, is_yours, warn_if_caller_unknown

if TYPE_CHECKING:
    from ..app import App


def gather(app: App, regions: Sequence[str], names: Sequence[str] = (), *, gpu: bool = False) -> StatusReport:
    """Return the boxes with their aliases in the SSH config, and the orphan volumes.

    Of named boxes what belongs to them alone. BootstrapError `not-found` if one of them does not exist.
    """
    hosts = managed_hosts(app)
    try:
        inventory, caller = parallel.gather(
            partial(read, app, regions, names, hosts=hosts, volumes="everything"), partial(find_owner, app)
        )
    except BootstrapError as exc:
        failed = failed_regions(exc, regions)
        if failed:
            exc.attach_result(StatusReport((), tuple(one.region for one in failed), failed, ()))
        raise
    boxes = _nodes_together([box for box in inventory.boxes if box.instance.state != "terminated"])
    terminated = [box.instance for box in inventory.boxes if box.instance.state == "terminated"]
    prices, ended = parallel.gather(
        partial(costs.read_instance_prices, app, [box.instance for box in boxes]),
        partial(ended_boxes, app, [*inventory.ended, *terminated], hosts, caller),
    )
    now = datetime.now(UTC)
    instances = [instance_status(box, prices, now, caller) for box in boxes]
    warn_of_unknown_costs(instances)
    warn_if_caller_unknown([*(box.yours for box in instances), *(box.yours for box in ended)])
    if gpu:
        instances = _with_gpus(app, instances)
    orphans = orphan_volumes(inventory.volumes, [box.instance for box in boxes])
    report = StatusReport(
        instances=tuple(instances),
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        orphan_volumes=tuple(_orphan(volume, caller) for volume in orphans),
        regions_denied=inventory.denied,
        ended=ended,
    )
    return _with_totals(report)


def _nodes_together(boxes: Iterable[Box]) -> list[Box]:
    """Return the boxes in their order, the nodes of a cluster by rank where the first of them is."""
    groups: dict[str, list[Box]] = {}
    for box in boxes:
        groups.setdefault(box.instance.cluster or box.instance_id, []).append(box)
    in_order: list[Box] = []
    for group in groups.values():
        in_order += sorted(group, key=_rank)
    return in_order


def _rank(box: Box) -> int:
    """Return what to sort the nodes of a cluster by."""
    return box.instance.rank or 0


def _with_totals(report: StatusReport) -> StatusReport:
    """Return the report with what everything costs; without it where not every region could be read."""
    if report.regions_failed:
        return report
    hourly = [instance.price_per_hour for instance in report.instances]
    monthly = [instance.monthly_cost_usd for instance in report.instances]
    monthly += [orphan.monthly_cost_usd for orphan in report.orphan_volumes]
    return replace(report, price_per_hour=money.total(hourly), monthly_cost_usd=money.total(monthly, digits=2))


def _orphan(volume: Volume, caller: str | None) -> OrphanVolume:
    yours = None
    if volume.created_by_us:
        yours = is_yours(volume.owner, caller)
    return OrphanVolume(
        volume_id=volume.volume_id,
        region=volume.region,
        size_gb=volume.size_gb,
        monthly_cost_usd=costs.monthly_cost(volume),
        last_instance_id=volume.instance_id or None,  # a volume of `volume create` was for none yet
        kept=volume.kept or None,
        owner=volume.owner,
        yours=yours,
        created_by_us=volume.created_by_us,
    )


def warn_of_unknown_costs(instances: Sequence[InstanceStatus]) -> None:
    """Warn of each box of which a price is unknown: its cost is missing, not zero."""
    for box in instances:
        name = box.ssh_alias or box.instance_id
        if box.price_per_hour is None:
            message = f"The {box.lifecycle} price of {name} is unknown, and so is its cost."
            _warn_about(box, message, code="price-unknown")
        for message in costs.unknown_monthly_costs(name, box.monthly_costs):
            _warn_about(box, message, code="price-unknown")


def instance_status(box: Box, prices: Prices, now: datetime, caller: str | None = None) -> InstanceStatus:
    """Return the status of one box: its uptime, its estimated cost until `now`, its volumes and its alias."""
    instance = box.instance
    user = box.host.user if box.host else DEFAULT_USER
    uptime = money.uptime_seconds(instance, now)
    price = prices.of_instance(instance)
    monthly_costs = costs.monthly_costs(box)
    return InstanceStatus(
        instance_id=instance.instance_id,
        region=instance.region,
        state=instance.state,
        instance_type=instance.instance_type,
        public_ip=instance.public_ip,
        ssh_alias=box.alias,
        lifecycle=instance.lifecycle,
        user=user,
        availability_zone=instance.availability_zone,
        launch_time=instance.launch_time,
        uptime_seconds=uptime,
        ebs_volumes=tuple(_volume_status(volume) for volume in box.volumes),
        spot_price_per_hour=_spot_price(instance, price),
        estimated_cost=money.cost_so_far(price, uptime, instance.state),
        price_per_hour=price,
        monthly_cost_usd=money.monthly_total(monthly_costs),
        monthly_costs=monthly_costs,
        owner=instance.owner,
        yours=is_yours(instance.owner, caller),
        deadline=instance.deadline,
        idle_timeout_seconds=instance.idle_timeout,
        seconds_left=seconds_until(instance.deadline, now),
        cluster=instance.cluster,
        rank=instance.rank,
    )


def _volume_status(volume: Volume) -> VolumeStatus:
    goes_with_cleanup = volume.created_by_us and not volume.kept
    return VolumeStatus(volume.volume_id, volume.size_gb, ec2.EBS_MOUNT_POINT, volume.state, goes_with_cleanup)


def _spot_price(instance: Instance, price: float | None) -> float | None:
    """Return the price of a spot instance that bills; None for others."""
    if instance.lifecycle != "spot" or instance.state in money.UNBILLED_STATES:
        return None
    return price


def _with_gpus(app: App, instances: Sequence[InstanceStatus]) -> list[InstanceStatus]:
    """Return the instances, each running one with its GPU. All are read in parallel."""
    calls = [partial(_with_gpu, app, instance) for instance in instances]
    return parallel.run_parallel(calls)


def _with_gpu(app: App, instance: InstanceStatus) -> InstanceStatus:
    card, idleness = _query(app, instance)
    return replace(instance, gpu=card, idleness=idleness)


def _query(app: App, instance: InstanceStatus) -> tuple[GpuInfo | None, Idleness | None]:
    """Return GPU and idleness of a running box, read over SSH. Warn if they cannot be read."""
    if instance.state != "running":
        return None, None
    if not instance.ssh_alias:
        message = f"Could not query the GPU of {instance.instance_id}, which has no alias on this machine."
        _warn_about(instance, f"{message} Add one: {PROGRAM} cleanup --sync", code="no-alias")
        return None, None
    try:
        return app.ssh.query_box(instance.ssh_alias)
    except BootstrapError as exc:
        _warn_about(instance, f"Could not query the GPU of {instance.ssh_alias}: {exc}", code="gpu-unknown")
        if exc.code == "ssh-timeout":
            _warn_if_address_is_blocked(app, instance, instance.ssh_alias)
        return None, None


def _warn_if_address_is_blocked(app: App, instance: InstanceStatus, alias: str) -> None:
    """Warn if no security group rule of the box allows this machine's address."""
    host = sshconfig.find_in(managed_hosts(app), alias)
    if host is None:
        return
    hint = blocked_address_hint(app, host)
    if hint:
        _warn_about(instance, hint, code="address-not-allowed")


def _warn_about(instance: InstanceStatus, message: str, *, code: str) -> None:
    output.warn(message, code=code, instance_id=instance.instance_id, region=instance.region)
