"""Find the boxes and volumes of the regions named, or of all regions, and their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output, parallel, sshconfig
from ..aws import without_waiting
from ..config import DEFAULT_USER, GP3_USD_PER_GB_MONTH
from ..errors import BootstrapError
from ..gpu import GpuInfo
from ..invocation import PROGRAM
from ..models import (
    Instance,
    InstanceStatus,
    OrphanVolume,
    RegionFailure,
    SpotPrice,
    StatusReport,
    Volume,
    VolumeStatus,
)
from .access import blocked_address_hint
from .box import Box
from .inventory import managed_hosts, read_with
from .owners import find_owner, is_yours, warn_if_caller_unknown

if TYPE_CHECKING:
    from ..app import App

#: Spot prices of one region, by instance type and availability zone.
type Prices = Mapping[tuple[str, str], SpotPrice]


def gather(app: App, regions: Sequence[str], *, instructions: bool = True, gpu: bool = False) -> StatusReport:
    """Return the boxes with their aliases in the SSH config, and the orphan volumes."""
    hosts = managed_hosts(app)
    try:
        (inventory, prices), caller = parallel.gather(
            partial(read_with, _spot_prices, app, regions, hosts=hosts), partial(find_owner, app)
        )
    except BootstrapError as exc:
        raise _with_unread_regions(exc, regions) from exc
    now = datetime.now(UTC)
    instances = [instance_status(box, prices[box.region], now, caller) for box in inventory.boxes]
    _warn_of_unpriced_boxes(instances)
    warn_if_caller_unknown([box.yours for box in instances])
    if gpu:
        instances = _with_gpus(app, instances)
    orphan_volumes = [_orphan(volume, caller) for volume in inventory.orphans()]
    return StatusReport(
        instances=tuple(instances),
        regions_queried=inventory.regions,
        regions_failed=inventory.failed,
        orphan_volumes=tuple(orphan_volumes),
        regions_denied=inventory.denied,
        instructions=instructions,
    )


def _with_unread_regions(error: BootstrapError, named: Sequence[str]) -> BootstrapError:
    """Return the error with the report of the regions that could not be read: those named, else all that were."""
    reason_by_region: dict[str, str] = {}
    for region in named:
        reason_by_region[region] = str(error)
    for of_region in error.report.regions:
        reason_by_region[of_region.region] = of_region.reason
    if not reason_by_region:
        return error
    failed = [RegionFailure(region, reason) for region, reason in reason_by_region.items()]
    return error.attach_result(StatusReport((), tuple(reason_by_region), tuple(failed), ()))


def _orphan(volume: Volume, caller: str | None) -> OrphanVolume:
    yours = None
    if volume.created_by_us:
        yours = is_yours(volume.owner, caller)
    return OrphanVolume(
        volume_id=volume.volume_id,
        region=volume.region,
        size_gb=volume.size_gb,
        monthly_cost_usd=round(volume.size_gb * GP3_USD_PER_GB_MONTH, 2),
        last_instance_id=volume.instance_id,
        kept=volume.kept or None,
        owner=volume.owner,
        yours=yours,
        created_by_us=volume.created_by_us,
    )


def _spot_prices(client: Any, instances: Sequence[Instance]) -> Prices:
    """Return the prices of the running spot instances; none if they cannot be read.

    A missing price must not hide a running box.
    """
    region = client.meta.region_name
    instance_types: set[str] = set()
    for instance in instances:
        if instance.lifecycle == "spot" and instance.state == "running":
            instance_types.add(instance.instance_type)

    def read(_: str) -> Prices:
        return ec2.spot_prices(client, instance_types)

    try:
        return without_waiting(region, read)
    except BootstrapError as exc:
        output.warn(f"Could not read the spot prices in {region}: {exc}", code="price-unknown", region=region)
        return {}


def _warn_of_unpriced_boxes(instances: Sequence[InstanceStatus]) -> None:
    """Warn of each running spot box whose price is unknown: its cost is missing, not zero."""
    for box in instances:
        bills = box.lifecycle == "spot" and box.state == "running"
        if bills and box.spot_price_per_hour is None:
            message = f"The spot price of {box.ssh_alias or box.instance_id} is unknown, and so is its cost."
            _warn_about(box, message, code="price-unknown")


def instance_status(box: Box, prices: Prices, now: datetime, caller: str | None = None) -> InstanceStatus:
    """Return the status of one box: its uptime, its estimated cost until `now`, its volumes and its alias."""
    instance = box.instance
    user = box.host.user if box.host else DEFAULT_USER
    uptime = _uptime(instance, now)
    spot_price = _spot_price(instance, prices)
    estimated_cost = None
    if spot_price is not None and uptime is not None:
        estimated_cost = round(spot_price * uptime / 3600, 4)
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
        spot_price_per_hour=spot_price,
        estimated_cost=estimated_cost,
        owner=instance.owner,
        yours=is_yours(instance.owner, caller),
    )


def _volume_status(volume: Volume) -> VolumeStatus:
    return VolumeStatus(volume.volume_id, volume.size_gb, ec2.EBS_MOUNT_POINT, volume.state)


def _spot_price(instance: Instance, prices: Prices) -> float | None:
    """Return the hourly price of a running spot instance; None if it is unknown."""
    if instance.lifecycle != "spot" or instance.state != "running":
        return None
    known = prices.get((instance.instance_type, instance.availability_zone))
    if known is None:
        return None
    return known.price


def _uptime(instance: Instance, now: datetime) -> int | None:
    """Return the seconds since the launch; None if EC2 reports no launch time."""
    if instance.launch_time is None:
        return None
    uptime = now - instance.launch_time
    return max(0, int(uptime.total_seconds()))


def _with_gpus(app: App, instances: Sequence[InstanceStatus]) -> list[InstanceStatus]:
    """Return the instances, each running one with its GPU. All are read in parallel."""
    calls = [partial(_with_gpu, app, instance) for instance in instances]
    return parallel.run_parallel(calls)


def _with_gpu(app: App, instance: InstanceStatus) -> InstanceStatus:
    return replace(instance, gpu=_read_gpu(app, instance))


def _read_gpu(app: App, instance: InstanceStatus) -> GpuInfo | None:
    """Return the GPU of a running box, read over SSH. Warn and return None if it cannot be read."""
    if instance.state != "running":
        return None
    if not instance.ssh_alias:
        message = f"Could not query the GPU of {instance.instance_id}, which has no alias on this machine."
        _warn_about(instance, f"{message} Add one: {PROGRAM} cleanup --sync", code="no-alias")
        return None
    try:
        return app.ssh.query_gpu(instance.ssh_alias)
    except BootstrapError as exc:
        _warn_about(instance, f"Could not query the GPU of {instance.ssh_alias}: {exc}", code="gpu-unknown")
        if exc.code == "ssh-timeout":
            _warn_if_address_is_blocked(app, instance, instance.ssh_alias)
        return None


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
