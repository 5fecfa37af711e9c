"""After a failure: replace the nodes that are lost, so that the job can be started again on all of its ranks.

What is lost is not what the agents missed, but what EC2 and ssh say once the job has ended: a node that EC2 has ended,
one that runs and does not answer by ssh, and one that EC2 is about to take away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ... import output
from ...errors import BootstrapError, SshError
from ...invocation import PROGRAM
from ...models import ClusterJobReport
from ...ssh import LoginTimeouts
from .. import terminate
from ..box import Box
from ..selection import Targets
from . import checkpoints, members
from .members import Cluster, rank_of
from .nodes import Node, all_ready, on_all

if TYPE_CHECKING:
    from ...app import App

#: For how long a node may not answer before it counts as lost, in seconds: one whose network was down for a moment
#: answers again.
_ANSWER = LoginTimeouts(20.0, 20.0)
_ANSWER_LIMIT = 60.0

#: Launches the nodes that a cluster lacks up to a size.
type LaunchMissing = Callable[[Cluster, int], object]


class Replacement:
    """The nodes of a cluster between two jobs. `lost` are the ranks that were replaced, or are to be."""

    def __init__(self, app: App, before: Cluster, launch_missing: LaunchMissing) -> None:
        self._app = app
        #: The cluster as it was when the job began: of its size, and with the options of its launch.
        self._before = before
        self._launch_missing = launch_missing
        self.lost: tuple[int, ...] = ()

    def run(self, report: ClusterJobReport, checkpoint_dir: str) -> Cluster:
        """Replace what is lost. Return the cluster, each of its nodes with the newest checkpoints."""
        size = len(self._before.nodes)
        present = self._read()
        living = present.nodes if present else ()
        leaving = self._leaving(living, report)
        survivors = [rank_of(box) for box in living if box not in leaving]
        self.lost = tuple(rank for rank in range(size) if rank not in survivors)
        if present and not self.lost:
            return present
        for box in self._before.nodes:
            if rank_of(box) in self.lost:
                _warn_of_loss(box, is_running=box.instance_id in [one.instance_id for one in leaving])
        if leaving:
            terminate.apply(self._app, Targets(tuple(leaving)), keep_ebs=True)
        self._launch_missing(self._before, size)
        cluster = self._read()
        assert cluster  # its nodes were launched
        checkpoints.spread(self._app, all_ready(cluster), checkpoint_dir)
        return cluster

    def _read(self) -> Cluster | None:
        return members.find(self._app, self._before.cluster_id, self._before.regions, volumes="beside")

    def _leaving(self, living: Sequence[Box], report: ClusterJobReport) -> list[Box]:
        """Return the nodes that exist, but do not answer or are about to be taken away."""
        nodes: list[Node] = []
        for box in living:
            if box.instance.state == "running" and box.host is not None:
                nodes.append(Node(rank_of(box), box.host, ""))
        with output.working(f"Looking which nodes of {self._before.cluster_id} answer"):
            silent = self._silent(nodes)
        if report.outcome == "spot-notice" and report.culprit is not None:
            silent.add(report.culprit)
        return [box for box in living if rank_of(box) in silent]

    def _silent(self, nodes: Sequence[Node]) -> set[int]:
        """Return the ranks of the nodes that do not answer. SshError if none does: then the fault may be on this side.

        An address of this machine that has changed, or a key that is missing, must not end a cluster.
        """
        silent: dict[int, SshError] = {}
        answers = on_all(partial(_answer, self._app), nodes)
        for node, answer in zip(nodes, answers, strict=True):
            if isinstance(answer, SshError):
                silent[node.rank] = answer
        if silent and len(silent) == len(nodes):
            first = silent[nodes[0].rank]
            raise SshError(
                f"No node of {self._before.cluster_id} answers, so that none is replaced: {first}",
                hint=f"Allow your address, if it has changed: {PROGRAM} access {nodes[0].alias} --ssh-cidr me\n"
                f"Show the nodes: {PROGRAM} cluster status --cluster-id {self._before.cluster_id}",
                code=first.code,
            )
        return set(silent)


def _warn_of_loss(box: Box, *, is_running: bool) -> None:
    """Say that a node is replaced, and what stays of it."""
    end = "has ended. It is replaced."
    if is_running:
        end = "does not answer, or is about to end: it is terminated and replaced."
    what = f"Node {rank_of(box)} ({box.instance_id}) {end}"
    for volume in box.volumes:
        what += f" Its data volume {volume.volume_id} is kept, and bills."
    output.warn(what, code="node-replaced", instance_id=box.instance_id, region=box.region)


def _answer(app: App, node: Node) -> None:
    """Raise SshError if a node does not answer."""
    done = app.ssh.run(node.alias, "true", timeouts=_ANSWER, limit=_ANSWER_LIMIT)
    if done.exit_code:
        raise BootstrapError(f"{node.alias} answers with exit code {done.exit_code}.")
