"""The tables of `sync` and `forward`."""

from __future__ import annotations

from ..models import ForwardReport, SyncReport
from .table import Columns, Table, tables

_CHANGES: Columns = {"change": "Change", "path": "File"}
_SYNC_SUM: Columns = {"source": "From", "target": "To", "files": "Files", "bytes": "Bytes", "seconds": "Seconds"}
_PORTS: Columns = {"local_port": "Port here", "remote_port": "Port of the box"}


@tables.register
def sync_tables(report: SyncReport) -> list[Table]:
    """Return the changes and their sum."""
    return [Table(_CHANGES, report.changes), Table(_SYNC_SUM, [report])]


@tables.register
def forward_tables(report: ForwardReport) -> list[Table]:
    """Return the ports."""
    return [Table(_PORTS, report.ports)]
