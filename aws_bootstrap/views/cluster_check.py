"""The checks of a cluster, as a person reads them."""

from __future__ import annotations

from click import style

from ..models import Check, ClusterPrepareReport, ClusterTestReport
from ..next_commands import next_commands
from .cluster_job import RESULTS, result_lines
from .table import Columns, Table, tables
from .text import aligned, heading, next_lines, pairs, plural, text

_CHECKS: Columns = {"name": "Check", "passed": "Passed", "detail": "Found"}
_FACTS: Columns = {
    "rank": "Rank",
    "ssh_alias": "Alias",
    "private_ip": "Private address",
    "gpus": "GPUs",
    "driver": "Driver",
    "cuda_toolkit": "CUDA",
    "torch": "PyTorch",
    "python": "Python",
    "clock_offset_seconds": "Clock, s",
    "free_gb": "GB free",
    "gbit_per_second": "Gbit/s",
    "round_trip_ms": "Round trip, ms",
}


@text.register
def preparation(report: ClusterPrepareReport) -> str:
    """Return each check with what was found."""
    nodes = plural(report.node_count, "node")
    title = heading(f"{report.cluster_id} is ready: {nodes}.")
    if not report.verified:
        title = heading(f"{report.cluster_id} is not ready: {nodes}.", "red")
    rows = [_row(check) for check in report.checks]
    if report.verified and report.canary_passed is None:
        rows.append(("-", "canary", "left out"))
    return "\n".join([title, *aligned(rows), next_lines(next_commands(report))])


def _row(check: Check) -> tuple[str, str, str]:
    if check.passed:
        return style("✓", fg="green"), check.name, check.detail
    return style("✗", fg="red"), check.name, check.detail


@text.register
def tested(report: ClusterTestReport) -> str:
    """Return how the test has ended."""
    nodes = plural(len(report.results), "node")
    if not report.passed:
        lines = [heading(f"The test failed on {report.cluster_id}.", "red"), *result_lines(report.results)]
        return "\n".join([*lines, next_lines(next_commands(report))])
    speed = None
    if report.bandwidth_gb_per_second is not None:
        speed = f"{report.bandwidth_gb_per_second:.2f} GB/s (busbw)"
    facts = [("Processes", str(report.processes)), ("Backend", report.backend), ("All-reduce", speed)]
    title = heading(f"The test passed on {nodes} of {report.cluster_id}.")
    return "\n".join([title, *pairs(facts), next_lines(next_commands(report))])


@tables.register
def preparation_tables(report: ClusterPrepareReport) -> list[Table]:
    """Return the checks, and the nodes."""
    return [Table(_CHECKS, report.checks), Table(_FACTS, report.nodes)]


@tables.register
def tested_tables(report: ClusterTestReport) -> list[Table]:
    """Return the nodes, and the measurement."""
    measured = [("Passed", report.passed), ("All-reduce, GB/s", report.bandwidth_gb_per_second)]
    return [Table(RESULTS, report.results), Table({"0": "Key", "1": "Value"}, measured)]
