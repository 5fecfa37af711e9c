"""Which error the result of a cluster's job amounts to. outcomes.py has those of all other results."""

from __future__ import annotations

import shlex

from .errors import BootstrapError, IncompleteError, SshError
from .invocation import PROGRAM
from .models import ClusterCancelReport, ClusterJobReport, ClusterPrepareReport, ClusterTestReport


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


def preparation_error(report: ClusterPrepareReport) -> BootstrapError | None:
    """Return the error of a cluster that is not ready: the checks that did not pass, and what helps."""
    failed = [check for check in report.checks if not check.passed]
    if not failed:
        return None
    words = f"--cluster-id {report.cluster_id}"
    hints = [f"Set up all nodes again: {PROGRAM} cluster launch {words} --nodes {report.node_count}"]
    if failed[0].name in ("bandwidth", "canary"):
        hints = [f"Show the log: {PROGRAM} cluster logs {words}"]
    hints.append(f"Show the nodes: {PROGRAM} cluster status {words}")
    details = ". ".join(f"{check.name}: {check.detail.rstrip('.')}" for check in failed)
    return BootstrapError(
        f"The cluster {report.cluster_id} is not ready. {details}.", hint="\n".join(hints), code="cluster-not-ready"
    )


def test_error(report: ClusterTestReport) -> BootstrapError | None:
    """Return the error of a test that failed."""
    if report.passed:
        return None
    words = f"--cluster-id {report.cluster_id}"
    return BootstrapError(
        f"The test failed on {report.cluster_id}: {report.reason}",
        hint=f"Show its log: {PROGRAM} cluster logs {words} --job {report.job}\n"
        f"Compare the nodes: {PROGRAM} cluster prepare {words}",
        code="cluster-test-failed",
    )
