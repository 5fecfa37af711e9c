"""The tables of `exec` and `ps`."""

from __future__ import annotations

from ..models import ExecReport, RunList
from .table import Columns, Table, tables

_RESULTS: Columns = {
    "ssh_alias": "Alias",
    "instance_id": "Instance",
    "exit_code": "Exit code",
    "output": "Output",
    "error": "Error",
}
_RUNS: Columns = {
    "ssh_alias": "Alias",
    "run": "Run",
    "state": "State",
    "exit_code": "Exit code",
    "started": "Started",
    "ended": "Ended",
    "runtime_seconds": "Seconds",
    "command": "Command",
}


@tables.register
def exec_tables(report: ExecReport) -> list[Table]:
    """Return the boxes."""
    return [Table(_RESULTS, report.results)]


@tables.register
def run_tables(result: RunList) -> list[Table]:
    """Return the runs."""
    return [Table(_RUNS, result.runs)]
