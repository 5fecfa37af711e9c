"""The tables of `status`."""

from __future__ import annotations

from dataclasses import dataclass

from ..models import InstanceStatus, OrphanVolume, StatusReport
from .table import Columns, Table, tables
from .text import other_owner

_INSTANCES: Columns = {
    "instance.instance_id": "Instance",
    "instance.ssh_alias": "Alias",
    "instance.region": "Region",
    "instance.availability_zone": "Zone",
    "instance.state": "State",
    "instance.instance_type": "Type",
    "instance.lifecycle": "Pricing",
    "instance.public_ip": "Address",
    "price": "USD/h",
    "instance.uptime_seconds": "Uptime s",
    "instance.estimated_cost": "USD so far",
    "monthly": "USD/month",
    "gpu": "GPU",
    "volumes": "Volumes",
    "owner": "Owner, if not you",
}
_ORPHAN_VOLUMES: Columns = {
    "volume.volume_id": "Orphan volume",
    "volume.region": "Region",
    "volume.size_gb": "GB",
    "monthly": "USD/month",
    "volume.kept": "Kept",
    "volume.owner": "Owner",
}
ENDED: Columns = {
    "instance_id": "Ended",
    "ssh_alias": "Alias",
    "region": "Region",
    "ended_at": "At",
    "reason": "Reason",
    "source": "Known by",
    "owner": "Owner",
}
_TOTALS: Columns = {"0": "In all", "1": "Cost"}


@dataclass(frozen=True)
class OrphanRow:
    """An orphan volume and what it costs a month."""

    volume: OrphanVolume
    monthly: str


@dataclass(frozen=True)
class InstanceRow:
    """An instance, its costs, its GPU's name, its volumes, one a line, and its owner.

    Empty: no GPU, or none requested; the caller's own.
    """

    instance: InstanceStatus
    price: str
    monthly: str
    gpu: str
    volumes: str
    owner: str


@tables.register
def status_tables(report: StatusReport) -> list[Table]:
    """Return the instances, then those that have ended and orphan volumes if there are any."""
    columns = _INSTANCES
    if any(instance.cluster for instance in report.instances):
        columns = columns | {"instance.cluster": "Cluster", "instance.rank": "Rank"}
    shown = [Table(columns, _instance_rows(report))]
    if report.ended:
        shown.append(Table(ENDED, report.ended))
    if report.orphan_volumes:
        orphans = [OrphanRow(volume, price(volume.monthly_cost_usd)) for volume in report.orphan_volumes]
        shown.append(Table(_ORPHAN_VOLUMES, orphans))
    if report.instances or report.orphan_volumes:
        shown.append(Table(_TOTALS, _totals(report)))
    return shown


def _instance_rows(report: StatusReport) -> list[InstanceRow]:
    unread = {warning.instance_id for warning in report.unread_gpus}
    rows: list[InstanceRow] = []
    for instance in report.instances:
        gpu = ""
        if instance.gpu:
            gpu = instance.gpu.name
        elif instance.instance_id in unread:
            gpu = "unknown"
        volumes = [f"{volume.volume_id} {volume.size_gb} GB {volume.mount_point}" for volume in instance.ebs_volumes]
        row = InstanceRow(
            instance,
            price=price(instance.price_per_hour),
            monthly=price(instance.monthly_cost_usd),
            gpu=gpu,
            volumes="\n".join(volumes),
            owner=other_owner(instance.owner, instance.yours),
        )
        rows.append(row)
    return rows


def price(usd: float | None) -> str:
    """Return a price. An empty cell would look like none."""
    if usd is None:
        return "unknown"
    return f"{usd:g}"


def _totals(report: StatusReport) -> list[tuple[str, str]]:
    """Return the sums of all boxes, disks and addresses."""
    return [
        ("instances, USD/h", price(report.price_per_hour)),
        ("disks and addresses, USD/month", price(report.monthly_cost_usd)),
    ]
