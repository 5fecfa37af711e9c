"""The commands to type after a result about a cluster. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .models import ClusterLaunchReport, ClusterList, ClusterStatus, ClusterTermination, Command
from .next_commands import log_in, next_commands, of_kept

__all__ = ["next_commands"]


@next_commands.register
def _after_cluster_launch(report: ClusterLaunchReport) -> tuple[Command, ...]:
    """Return how to check, use and end the cluster; nothing where the launch broke: the error says more."""
    complete = [node for node in report.nodes if node.alias and node.setup]
    if not complete or len(complete) < report.node_count:
        return ()
    cluster_id = report.cluster_id
    named = ("--cluster-id", cluster_id)
    commands = [log_in(str(complete[0].alias))]
    if complete[0].setup == "completed":
        commands.append(own("Check it", "cluster", "prepare", *named))
        commands.append(own("Run a job", "cluster", "run", *named, "train.py"))
    commands.append(own("Status", "cluster", "status", *named))
    return (*commands, own("Terminate", "cluster", "terminate", cluster_id))


@next_commands.register
def _after_cluster_list(report: ClusterList) -> tuple[Command, ...]:
    """Return how to see more of the first cluster of the caller's, or how to launch one."""
    for row in report.clusters:
        if row.yours is not False:
            return (own("Its nodes", "cluster", "status", "--cluster-id", row.cluster_id),)
    return (own("Launch one", "cluster", "launch", "--cluster-id", "train", "--nodes", "2"),)


@next_commands.register
def _after_cluster_status(report: ClusterStatus) -> tuple[Command, ...]:
    """Return how to use, complete and end the cluster; nothing for one of somebody else."""
    if report.yours is False and any(node.owner for node in report.nodes):
        return ()
    commands: list[Command] = []
    for node in report.nodes:
        if node.ssh_alias and node.state == "running":
            commands.append(log_in(node.ssh_alias))
            break
    if any(node.state == "running" and not node.ssh_alias for node in report.nodes):
        commands.append(own("Add the aliases", "cleanup", "--sync"))
    named = ("--cluster-id", report.cluster_id)
    if report.missing_ranks:
        size = str(report.size)
        commands.append(own("Complete it", "cluster", "launch", *named, "--nodes", size))
    return (*commands, own("Terminate", "cluster", "terminate", report.cluster_id))


@next_commands.register
def _after_termination(report: ClusterTermination) -> tuple[Command, ...]:
    """Return how to use the volumes that were kept, and where all boxes are."""
    if report.declined:
        return ()
    commands: list[Command] = []
    for ended in report.terminated:
        commands += of_kept(ended)
    return (*commands, own("What still bills", "status"))
