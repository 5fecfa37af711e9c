"""Terminate boxes: terminate the selected ones, remove their aliases, delete or keep their data volumes.

With the last node of a cluster also what its nodes shared is deleted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ... import known_hosts, sshconfig
from ...errors import BootstrapError, Interrupted
from ...models import TerminateReport
from ...parallel import run_parallel
from ..selection import Targets
from ..unknown import Calls
from .clusters import clusters_of, end_clusters
from .failure import incomplete, with_partial_report
from .instances import terminate_all
from .progress import BoxTermination, ClusterEnding, TerminateProgress, instance_ids
from .report import of_boxes
from .volumes import delete_all_volumes

if TYPE_CHECKING:
    from ...app import App

__all__ = ["BoxTermination", "ClusterEnding", "TerminateProgress", "apply", "end"]


def apply(app: App, targets: Targets, *, keep_ebs: bool) -> TerminateReport:
    """Terminate the targets of all regions in parallel. If some fail, raise an error with the report of the rest."""
    boxes = [BoxTermination(target, keep_ebs) for target in targets.boxes]
    progress = TerminateProgress(app, boxes, Calls(app.lookup_seconds), targets.left_out, clusters_of(boxes))
    end(progress)
    return of_boxes(progress)


def end(progress: TerminateProgress) -> None:
    """Terminate the boxes, and note what becomes of them. Errors are those of `apply`."""
    try:
        terminate_all(progress)
        _remove_aliases(progress)
        run_parallel([partial(delete_all_volumes, progress), partial(end_clusters, progress)])
    except KeyboardInterrupt as exc:
        progress.calls.settle()
        _remove_aliases(progress)
        raise with_partial_report(Interrupted.of(exc), progress) from exc
    error = incomplete(progress)
    if error:
        raise with_partial_report(error, progress)


def _remove_aliases(progress: TerminateProgress) -> None:
    """Remove the aliases of the terminated boxes. If that fails, note the error for each, so that they are reported."""
    terminated = progress.terminated
    ids = [*instance_ids(terminated), *progress.ended_before]
    try:
        progress.aliases |= sshconfig.remove(progress.app.paths.ssh_config, ids)
        known_hosts.forget(progress.app.paths.known_hosts, ids)
    except BootstrapError as exc:
        for termination in terminated:
            termination.errors.append(exc)
