"""Jobs of a cluster, as a person reads them."""

from __future__ import annotations

from ..models import ClusterCancelReport, ClusterJobReport, ClusterLogReport, NodeResult
from ..next_commands import next_commands
from .table import Columns, Table, tables
from .text import aligned, heading, next_lines, pairs, plural, text

#: Of what each node has come to.
RESULTS: Columns = {
    "rank": "Rank",
    "ssh_alias": "Alias",
    "instance_id": "Instance",
    "returncode": "Exit code",
    "error": "Error",
}
_LOGS: Columns = {"rank": "Rank", "ssh_alias": "Alias", "instance_id": "Instance", "output": "Output", "error": "Error"}


@text.register
def job_text(report: ClusterJobReport) -> str:
    """Return how a job has ended on each node, or that it has started."""
    nodes = plural(len(report.results), "node")
    if report.outcome == "running":
        lines = [heading(f"{report.job} has started on {nodes}.")]
    elif report.succeeded:
        lines = [heading(f"{report.job} succeeded on {nodes}.")]
    else:
        lines = [heading(f"{report.job}: {report.outcome}", "red"), *result_lines(report.results)]
    for restart in report.restarts:
        lines.append(f"  {restart.job} before it: {restart.reason}")
    lines += pairs([("Logs", report.log_dir)])
    return "\n".join([*lines, next_lines(next_commands(report))])


def result_lines(results: tuple[NodeResult, ...]) -> list[str]:
    """Return a line for each node, with its exit code or what is known instead."""
    rows: list[tuple[str, str, str]] = []
    for result in results:
        outcome = result.error or "running"
        if result.returncode is not None:
            outcome = f"exit code {result.returncode}"
        rows.append((f"node {result.rank}", result.ssh_alias, outcome))
    return aligned(rows)


@text.register
def logs_text(report: ClusterLogReport) -> str:
    """Return the logs, unless they were shown as they came."""
    lines: list[str] = []
    for log in report.results:
        for line in (log.output or "").splitlines():
            lines.append(f"rank {log.rank}: {line}")
    return "\n".join(lines)


@text.register
def cancel_text(report: ClusterCancelReport) -> str:
    """Return what has become of the job on each node."""
    if report.job is None:
        lines = [f"No job is running on {report.cluster_id}."]
    else:
        lines = [heading(f"{report.job} is stopped.")]
    return "\n".join([*lines, *result_lines(report.results), next_lines(next_commands(report))])


@tables.register
def job_tables(report: ClusterJobReport | ClusterCancelReport) -> list[Table]:
    """Return the nodes."""
    return [Table(RESULTS, report.results)]


@tables.register
def log_tables(report: ClusterLogReport) -> list[Table]:
    """Return the logs."""
    return [Table(_LOGS, report.results)]
