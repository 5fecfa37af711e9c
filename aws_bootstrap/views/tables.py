"""The tables of each result: their records and headings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import singledispatch
from operator import attrgetter
from typing import Any

from ..models import (
    AccessReport,
    AliasAddress,
    AliasEntry,
    CleanupPlan,
    CleanupReport,
    DeletedVolume,
    ImageList,
    InstanceStatus,
    InstanceTypeList,
    InstanceTypeRow,
    OrphanVolume,
    QuotaHistory,
    QuotaReport,
    QuotaRequests,
    Result,
    StatusReport,
    TerminateReport,
    VolumeEntry,
)
from .text import other_owner

#: Headings by field name; dots reach into facts.
Columns = dict[str, str]


@dataclass(frozen=True)
class Table:
    """Records of one type under headings."""

    columns: Columns
    rows: Iterable[Any]

    def cells(self) -> list[list[str]]:
        """Return the text of each cell, row by row."""
        cells: list[list[str]] = []
        for row in self.rows:
            cells.append([_cell(_field(row, name)) for name in self.columns])
        return cells


def _field(row: Any, name: str) -> Any:
    """Return the row's value of that name: of a tuple its item of that number, of a fact its field (dots reach in)."""
    if isinstance(row, tuple):
        return row[int(name)]
    return attrgetter(name)(row)


def _cell(value: Any) -> str:
    """Return the value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join([str(item) for item in value])
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


@singledispatch
def tables(result: Result) -> list[Table]:
    """Return the tables of this result, to be shown one below the other; none where its keys and values are shown."""
    return []


# --- access ----------------------------------------------------------------------------------------------

_ACCESS: Columns = {
    "instance_id": "Instance",
    "ssh_alias": "Alias",
    "region": "Region",
    "ssh_port": "Port",
    "reachable": "Reachable from here",
    "sources": "Open to",
}


@tables.register
def access_tables(report: AccessReport) -> list[Table]:
    """Return the boxes."""
    return [Table(_ACCESS, report.boxes)]


# --- cleanup ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    """One line of a cleanup's table."""

    action: str
    name: str
    what: str


_ACTIONS: Columns = {"action": "Action", "name": "Id", "what": "What"}


@tables.register
def cleanup_plan_tables(plan: CleanupPlan) -> list[Table]:
    """Return one table of everything, by action."""
    actions = _alias_actions("remove alias", plan.stale)
    actions += _address_actions("add alias", plan.added)
    actions += _address_actions("update alias", plan.updated)
    actions += _volume_actions("delete volume", plan.orphan_volumes)
    actions += _skipped(plan)
    return [Table(_ACTIONS, actions)]


@tables.register
def cleanup_tables(report: CleanupReport) -> list[Table]:
    """Return one table of everything, by action."""
    actions = _alias_actions("alias removed", report.cleaned)
    actions += _address_actions("alias added", report.added)
    actions += _address_actions("alias updated", report.updated)
    for volume in report.deleted_volumes:
        actions.append(_deletion(volume))
    actions += _skipped(report)
    return [Table(_ACTIONS, actions)]


def _alias_actions(action: str, entries: Iterable[AliasEntry]) -> list[Action]:
    return [Action(action, entry.instance_id, entry.alias) for entry in entries]


def _address_actions(action: str, entries: Iterable[AliasAddress]) -> list[Action]:
    return [Action(action, entry.instance_id, f"{entry.alias} {entry.public_ip}") for entry in entries]


def _volume_actions(action: str, volumes: Iterable[VolumeEntry]) -> list[Action]:
    return [Action(action, volume.volume_id, f"{volume.size_gb} GB") for volume in volumes]


def _kept_actions(volumes: Iterable[VolumeEntry]) -> list[Action]:
    """Return the volumes that stay and bill."""
    actions: list[Action] = []
    for volume in volumes:
        price = "price unknown"
        if volume.monthly_cost_usd is not None:
            price = f"{volume.monthly_cost_usd:g} USD/month"
        what = f"{volume.size_gb} GB, {price}, in {volume.region}"
        if volume.is_of_others:
            what += f", of {volume.owner or 'nobody'}"
        actions.append(Action("keep volume", volume.volume_id, what))
    return actions


def _deletion(volume: DeletedVolume) -> Action:
    size = f"{volume.size_gb} GB"
    if volume.error:
        return Action("not deleted", volume.volume_id, f"{size}: {volume.error}")
    return Action("volume deleted", volume.volume_id, size)


def _skipped(result: CleanupPlan | CleanupReport) -> list[Action]:
    """Return what stays as it is."""
    actions = _kept_actions(result.kept_volumes)
    actions += _alias_actions("skip", result.skipped)
    actions += _volume_actions("skip", result.skipped_volumes)
    for volume in result.left_out:
        actions.append(Action("left out", volume.volume_id, f"{volume.size_gb} GB of {volume.owner or 'nobody'}"))
    for instance_id in result.broken:
        actions.append(Action("broken block", instance_id, "left alone"))
    return actions


# --- list ------------------------------------------------------------------------------------------------

_INSTANCE_TYPES: Columns = {
    "row.region": "Region",
    "row.instance_type": "Type",
    "row.vcpus": "vCPUs",
    "row.memory_mib": "MiB",
    "row.gpu": "GPU",
    "spot": "Spot USD/h",
    "on_demand": "On-demand USD/h",
    "row.quota_family": "Quota family",
}
_IMAGES: Columns = {
    "region": "Region",
    "image_id": "Image",
    "creation_date": "Created",
    "architecture": "Architecture",
    "name": "Name",
}


@dataclass(frozen=True)
class TypeRow:
    """An instance type with its prices."""

    row: InstanceTypeRow
    spot: str
    on_demand: str


@tables.register
def instance_type_tables(result: InstanceTypeList) -> list[Table]:
    """Return the instance types."""
    rows: list[TypeRow] = []
    for row in result.instance_types:
        rows.append(TypeRow(row, _price(row.spot_price_per_hour), _price(row.on_demand_price_per_hour)))
    return [Table(_INSTANCE_TYPES, rows)]


@tables.register
def image_tables(result: ImageList) -> list[Table]:
    """Return the images."""
    return [Table(_IMAGES, result.images)]


# --- quota -----------------------------------------------------------------------------------------------

_QUOTAS: Columns = {
    "region": "Region",
    "family": "Family",
    "quota_type": "Type",
    "value": "vCPUs",
    "quota_code": "Code",
    "quota_name": "Name",
}
_REQUESTS: Columns = {
    "region": "Region",
    "family": "Family",
    "quota_type": "Type",
    "desired_value": "vCPUs",
    "status": "Status",
    "request_id": "Request",
}


@tables.register
def quota_tables(report: QuotaReport) -> list[Table]:
    """Return the quotas."""
    return [Table(_QUOTAS, report.quotas)]


@tables.register
def quota_request_tables(report: QuotaRequests) -> list[Table]:
    """Return the requests that were sent."""
    return [Table(_REQUESTS, report.requests)]


@tables.register
def quota_history_tables(report: QuotaHistory) -> list[Table]:
    """Return the requests, with their dates."""
    return [Table({"created": "Created"} | _REQUESTS, report.requests)]


# --- status ----------------------------------------------------------------------------------------------

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
    """Return the instances, then orphan volumes if there are any."""
    shown = [Table(_INSTANCES, _instance_rows(report))]
    if report.orphan_volumes:
        orphans = [OrphanRow(volume, _price(volume.monthly_cost_usd)) for volume in report.orphan_volumes]
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
        price = _price(instance.price_per_hour)
        monthly = _price(instance.monthly_cost_usd)
        owner = other_owner(instance.owner, instance.yours)
        rows.append(InstanceRow(instance, price, monthly, gpu, "\n".join(volumes), owner))
    return rows


def _price(price: float | None) -> str:
    """Return a price. An empty cell would look like none."""
    if price is None:
        return "unknown"
    return f"{price:g}"


def _totals(report: StatusReport) -> list[tuple[str, str]]:
    """Return the sums of all boxes, disks and addresses."""
    return [
        ("instances, USD/h", _price(report.price_per_hour)),
        ("disks and addresses, USD/month", _price(report.monthly_cost_usd)),
    ]


# --- terminate -------------------------------------------------------------------------------------------

_TERMINATIONS: Columns = {
    "instance_id": "Instance",
    "region": "Region",
    "previous_state": "Was",
    "current_state": "Now",
    "ssh_alias_removed": "Alias removed",
    "ebs_volumes_deleted": "Volumes deleted",
    "ebs_volumes_kept": "Volumes kept",
}
_LEFT_OUT_BOXES: Columns = {
    "instance_id": "Left out, not yours",
    "region": "Region",
    "owner": "Owner",
    "price_per_hour": "USD/h",
}


@tables.register
def terminate_tables(report: TerminateReport) -> list[Table]:
    """Return what was terminated; where nothing was, the region that was looked at; then what is left out."""
    shown = [Table({"0": f"Instances in {report.region}"}, [("(none)",)])]
    if report.terminated or not report.region:
        shown = [Table(_TERMINATIONS, report.terminated)]
    if report.left_out:
        shown.append(Table(_LEFT_OUT_BOXES, report.left_out))
    return shown
