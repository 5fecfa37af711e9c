"""Which error the result of a cluster's job amounts to. outcomes.py has those of all other results."""

from __future__ import annotations

import shlex

from .errors import BootstrapError, IncompleteError, SshError
from .invocation import PROGRAM
from .models import ClusterCancelReport, ClusterJobReport


def job_error(report: ClusterJobReport) -> BootstrapError | None:
    """Return the error of a job that did not succeed, or whose outcome is unknown."""
    words = f"--cluster-id {report.cluster_id}"
    if report.succeeded or report.outcome == "running":
        return None
    if report.succeeded is None:
        return SshError(
            f"The outcome of {report.job} is unknown. {report.reason}",
            hint=f"The job goes on, if the nodes do. Follow it again: {PROGRAM} cluster attach {words}\n"
            f"Show the nodes: {PROGRAM} cluster status {words}",
            code="ssh-lost",
        )
    log = f"{words} --job {report.job}"
    if report.culprit is not None:
        log += f" --rank {report.culprit}"
    hints = [f"Show its log: {PROGRAM} cluster logs {log}", f"Show the nodes: {PROGRAM} cluster status {words}"]
    if report.outcome in ("node-lost", "spot-notice"):
        nodes = len(report.results)
        hints.append(f"Launch what is missing: {PROGRAM} cluster launch {words} --nodes {nodes}")
    if report.again:
        hints.append(f"Run it again: {PROGRAM} {shlex.join(report.again)}")
    return BootstrapError(f"{report.job}: {report.reason}", hint="\n".join(hints), code="job-failed")


def cancel_error(report: ClusterCancelReport) -> BootstrapError | None:
    """Return the error of nodes on which the job could not be stopped, or whose jobs are unknown."""
    failed = [result for result in report.results if result.error and result.returncode is None]
    if not failed:
        return None
    first = failed[0]
    what = f"The job could not be stopped on {first.ssh_alias}: {first.error}"
    if report.job is None:
        what = f"The jobs of {first.ssh_alias} are unknown: {first.error}"
    words = f"--cluster-id {report.cluster_id}"
    return IncompleteError(
        what,
        hint="There it ends by itself, once its agent misses the other nodes.\n"
        f"Show the nodes: {PROGRAM} cluster status {words}",
        code="job-not-stopped",
    )
