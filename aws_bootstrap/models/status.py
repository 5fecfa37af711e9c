"""Results of `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..gpu import GpuInfo
from .base import Access, Notice, Result, Table, optional, private
from .facts import RegionFailure


@dataclass(frozen=True)
class VolumeStatus:
    """A data volume as `status` shows it below its instance."""

    volume_id: str
    size_gb: int
    mount_point: str
    state: str


@dataclass(frozen=True)
class InstanceStatus:
    """An instance as `status` shows it."""

    instance_id: str
    region: str
    state: str
    instance_type: str
    public_ip: str | None
    ssh_alias: str | None
    lifecycle: str
    availability_zone: str
    launch_time: datetime | None
    uptime_seconds: int | None
    ebs_volumes: tuple[VolumeStatus, ...]
    spot_price_per_hour: float | None = optional()
    estimated_cost: float | None = optional()
    gpu: GpuInfo | None = optional()
    user: str = private("ubuntu")

    @property
    def volumes_in_table(self) -> str:
        """Its data volumes, one a line."""
        return "\n".join(f"{v.volume_id} {v.size_gb} GB {v.mount_point}" for v in self.ebs_volumes)

    @property
    def gpu_in_table(self) -> str:
        """Its GPU's name; empty where it has none, was not asked or did not tell."""
        return self.gpu.name if self.gpu else ""


@dataclass(frozen=True)
class OrphanVolume:
    """A data volume that bills though its instance is gone. `monthly_cost_usd` at gp3's list price."""

    volume_id: str
    region: str
    size_gb: int
    monthly_cost_usd: float
    last_instance_id: str | None
    kept: bool | None = optional()
    created_by_us: bool = private(True)
    """Whether `cleanup` may delete it. A brought volume is its owner's."""


@dataclass(frozen=True)
class StatusReport(Result):
    """Our instances and volumes in the regions asked."""

    instances: tuple[InstanceStatus, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    orphan_volumes: tuple[OrphanVolume, ...]
    access: Access = private(Access())
    instructions: bool = private(True)

    columns = {
        "instance_id": "Instance",
        "ssh_alias": "Alias",
        "region": "Region",
        "state": "State",
        "instance_type": "Type",
        "lifecycle": "Pricing",
        "public_ip": "Address",
        "spot_price_per_hour": "USD/h",
        "uptime_seconds": "Uptime s",
        "estimated_cost": "USD so far",
        "gpu_in_table": "GPU",
        "volumes_in_table": "Volumes",
    }

    def tables(self) -> list[Table]:
        """Instances, then orphan volumes if there are any."""
        volumes = {
            "volume_id": "Orphan volume",
            "region": "Region",
            "size_gb": "GB",
            "monthly_cost_usd": "USD/month",
            "kept": "Kept",
        }
        tables = super().tables()
        if self.orphan_volumes:
            tables.append(Table(volumes, self.orphan_volumes))
        return tables

    @property
    def unread_gpus(self) -> tuple[Notice, ...]:
        """The warnings of boxes whose GPU was asked for and is not known."""
        return tuple(warning for warning in self.warnings if warning.code in ("gpu-unknown", "no-alias"))
