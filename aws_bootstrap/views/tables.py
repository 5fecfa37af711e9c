"""The tables of each result: their records and headings. Those of some commands have files of their own."""

from __future__ import annotations

from dataclasses import dataclass

from ..models import (
    AccessReport,
    CostItem,
    CostReport,
    ImageList,
    InstanceTypeList,
    InstanceTypeRow,
    QuotaHistory,
    QuotaReport,
    QuotaRequests,
    StartReport,
    StopReport,
)
from . import (
    cleanup_tables,
    cluster_launch_tables,
    cluster_tables,
    own_image_tables,
    price_tables,
    run_tables,
    status_tables,
    termination_tables,
    transfer_tables,
    volume_tables,
)
from .cost_report import title_of
from .status_tables import price
from .table import Columns, Table, tables
from .text import other_owner

__all__ = [
    "Table",
    "cleanup_tables",
    "cluster_launch_tables",
    "cluster_tables",
    "own_image_tables",
    "price_tables",
    "run_tables",
    "status_tables",
    "tables",
    "termination_tables",
    "transfer_tables",
    "volume_tables",
]


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


# --- costs -----------------------------------------------------------------------------------------------

_COSTS: Columns = {
    "item.id": "Id",
    "what": "What",
    "item.ssh_alias": "Alias",
    "item.region": "Region",
    "item.state": "State",
    "item.size_gb": "GB",
    "price": "USD/h",
    "monthly": "USD/month",
    "so_far": "USD so far",
    "item.since": "Since",
    "owner": "Owner, if not you",
}
_SUMS: Columns = {"0": "In all", "1": "About"}


@dataclass(frozen=True)
class CostRow:
    """Something that bills, its costs, and its owner; empty for the caller's own."""

    item: CostItem
    what: str
    price: str
    monthly: str
    so_far: str
    owner: str


@tables.register
def cost_tables(report: CostReport) -> list[Table]:
    """Return what bills and what is left out, each except with --sum, then the sums."""
    shown: list[Table] = []
    if report.items is not None:
        shown.append(Table(_COSTS, [_cost_row(item) for item in report.items]))
        if report.left_out:
            rows = [_cost_row(item) for item in report.left_out]
            shown.append(Table(_COSTS | {"item.id": "Left out, not yours"}, rows))
    sums = [
        ("USD/h", price(report.price_per_hour)),
        ("USD/month", price(report.monthly_cost_usd)),
        ("USD so far", price(report.estimated_cost)),
    ]
    return [*shown, Table(_SUMS, sums)]


def _cost_row(item: CostItem) -> CostRow:
    what = title_of(item)
    if item.instance_type:
        what = f"{item.instance_type} {item.lifecycle}"
    return CostRow(
        item,
        what,
        price=price(item.price_per_hour),
        monthly=price(item.monthly_cost_usd),
        so_far=price(item.estimated_cost),
        owner=other_owner(item.owner, item.yours),
    )


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
        rows.append(TypeRow(row, price(row.spot_price_per_hour), price(row.on_demand_price_per_hour)))
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


# --- stop, start -----------------------------------------------------------------------------------------

_STOPPED: Columns = {
    "instance_id": "Instance",
    "ssh_alias": "Alias",
    "region": "Region",
    "previous_state": "Was",
    "current_state": "Is",
    "monthly_cost_usd": "USD/month of its disks",
    "deadline": "Deadline",
}
_STARTED: Columns = {
    "instance_id": "Instance",
    "ssh_alias": "Alias",
    "availability_zone": "Zone",
    "previous_state": "Was",
    "current_state": "Is",
    "instance_type": "Type",
    "public_ip": "Address",
    "price_per_hour": "USD/h",
    "deadline": "Deadline",
}


@tables.register
def stop_tables(report: StopReport) -> list[Table]:
    """Return the stopped boxes."""
    return [Table(_STOPPED, report.stopped)]


@tables.register
def start_tables(report: StartReport) -> list[Table]:
    """Return the started boxes."""
    return [Table(_STARTED, report.started)]
