"""Find our boxes and volumes, in the regions named or in all, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import ec2, output, sshconfig
from ..aws import each_region, together, without_waiting
from ..config import GP3_USD_PER_GB_MONTH
from ..errors import BootstrapError
from ..gpu import GpuInfo
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
from ..sshconfig import Host

if TYPE_CHECKING:
    from ..app import App


@dataclass(frozen=True)
class RegionFacts:
    """What one region holds of ours."""

    instances: list[Instance]
    volumes: list[Volume]
    prices: dict[tuple[str, str], SpotPrice]


def gather(app: App, regions: Sequence[str], *, instructions: bool = True, gpu: bool = False) -> StatusReport:
    """What is there now, joined with the aliases of the SSH config."""
    asked = tuple(dict.fromkeys(regions)) or tuple(app.aws.regions())
    try:
        found, failed = each_region(asked, lambda region: _facts(app.aws.ec2(region)))
    except BootstrapError as exc:
        raise exc.with_result(_unread(app, asked, exc)) from exc
    hosts = {h.instance_id: h for h in sshconfig.hosts(sshconfig.read(app.paths.ssh_config))}
    now = datetime.now(UTC)
    instances = [
        instance_status(i, facts, hosts.get(i.instance_id), now) for facts in found.values() for i in facts.instances
    ]
    return StatusReport(
        instances=tuple(_with_gpus(app, instances) if gpu else instances),
        regions_queried=asked,
        regions_failed=failed,
        orphan_volumes=tuple(v for facts in found.values() for v in orphans(facts.volumes, facts.instances)),
        access=app.access,
        instructions=instructions,
    )


def _unread(app: App, asked: tuple[str, ...], error: BootstrapError) -> StatusReport:
    """The report where no region could be read."""
    reasons = {r.region: r.reason for r in error.report.regions}
    failed = tuple(RegionFailure(region, reasons.get(region, str(error))) for region in asked)
    return StatusReport((), asked, failed, (), access=app.access)


def orphans(volumes: Iterable[Volume], instances: Iterable[Instance]) -> list[OrphanVolume]:
    """The data volumes that are detached and whose instance is gone."""
    alive = {i.instance_id for i in instances}
    return [_orphan(v) for v in volumes if v.state == "available" and v.instance_id not in alive]


def _orphan(volume: Volume) -> OrphanVolume:
    return OrphanVolume(
        volume_id=volume.volume_id,
        region=volume.region,
        size_gb=volume.size_gb,
        monthly_cost_usd=round(volume.size_gb * GP3_USD_PER_GB_MONTH, 2),
        last_instance_id=volume.instance_id,
        kept=volume.kept or None,
    )


def _facts(client: Any) -> RegionFacts:
    instances, volumes = together(lambda: ec2.find_instances(client), lambda: ec2.find_volumes(client))
    spot = {i.instance_type for i in instances if i.lifecycle == "spot" and i.state == "running"}
    return RegionFacts(instances, volumes, _prices(client, spot))


def _prices(client: Any, kinds: Iterable[str]) -> dict[tuple[str, str], SpotPrice]:
    """The prices where they can be known: a missing one must not hide a running box."""
    try:
        return without_waiting(client.meta.region_name, lambda _: ec2.spot_prices(client, kinds))
    except BootstrapError as exc:
        _tell_unpriced(client.meta.region_name, exc)
        return {}


def _tell_unpriced(region: str, error: BootstrapError) -> None:
    output.warn(f"No spot prices in {region}: {error}")


def instance_status(instance: Instance, facts: RegionFacts, host: Host | None, now: datetime) -> InstanceStatus:
    """Return what is shown of one instance: its uptime and what it has cost until `now`, its volumes, its alias."""
    uptime = _uptime(instance, now)
    price = facts.prices.get((instance.instance_type, instance.availability_zone))
    spot_price = price.price if price and instance.lifecycle == "spot" and instance.state == "running" else None
    attached = (v for v in facts.volumes if v.instance_id == instance.instance_id)
    return InstanceStatus(
        instance_id=instance.instance_id,
        region=instance.region,
        state=instance.state,
        instance_type=instance.instance_type,
        public_ip=instance.public_ip,
        ssh_alias=host.alias if host else None,
        lifecycle=instance.lifecycle,
        user=host.user if host else "ubuntu",
        availability_zone=instance.availability_zone,
        launch_time=instance.launch_time,
        uptime_seconds=uptime,
        ebs_volumes=tuple(VolumeStatus(v.volume_id, v.size_gb, ec2.EBS_MOUNT_POINT, v.state) for v in attached),
        spot_price_per_hour=spot_price,
        estimated_cost=None if spot_price is None or uptime is None else round(spot_price * uptime / 3600, 4),
    )


def _uptime(instance: Instance, now: datetime) -> int | None:
    """Seconds since it was launched; None where EC2 does not say when that was."""
    if instance.launch_time is None:
        return None
    return max(0, int((now - instance.launch_time).total_seconds()))


def _with_gpus(app: App, instances: Sequence[InstanceStatus]) -> list[InstanceStatus]:
    """The instances, each running one asked for its GPU over SSH, all at once."""
    return together(*(lambda i=instance: replace(i, gpu=_gpu(app, i)) for instance in instances))


def _gpu(app: App, instance: InstanceStatus) -> GpuInfo | None:
    if instance.state != "running" or not instance.ssh_alias:
        return None
    try:
        return app.ssh.query_gpu(instance.ssh_alias)
    except BootstrapError as exc:
        output.warn(f"{instance.ssh_alias} did not tell its GPU: {exc}")
        return None
