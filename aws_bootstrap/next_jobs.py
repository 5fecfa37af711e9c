"""Which commands to type after a result about a cluster's job."""

from __future__ import annotations

from .command_lines import own
from .models import ClusterCancelReport, ClusterJobReport, ClusterPrepareReport, ClusterTestReport, Command
from .next_commands import next_commands


@next_commands.register
def _after_job(report: ClusterJobReport) -> tuple[Command, ...]:
    """Return how to follow or stop a job that runs, and what to do after one that has ended."""
    words = ("--cluster-id", report.cluster_id)
    if report.succeeded is None:
        return (
            own("Follow it", "cluster", "attach", *words),
            own("Its logs", "cluster", "logs", *words),
            own("Stop it", "cluster", "cancel", *words),
        )
    return (own("Its logs", "cluster", "logs", *words, "--job", report.job), *_of_cluster(report.cluster_id))


@next_commands.register
def _after_cancel(report: ClusterCancelReport) -> tuple[Command, ...]:
    """Return what to do with the cluster, whose nodes go on."""
    return _of_cluster(report.cluster_id)


def _of_cluster(cluster_id: str) -> tuple[Command, ...]:
    return (own("Terminate the cluster", "cluster", "terminate", "--cluster-id", cluster_id),)


@next_commands.register
def _after_check(report: ClusterPrepareReport | ClusterTestReport) -> tuple[Command, ...]:
    """Return how to run a job, once nothing is wrong: the error says more otherwise."""
    is_fit = report.verified if isinstance(report, ClusterPrepareReport) else report.passed
    if not is_fit:
        return ()
    words = ("--cluster-id", report.cluster_id)
    return (own("Run a job", "cluster", "run", *words, "train.py"),)
