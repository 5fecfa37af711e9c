"""How a job has ended, from what its nodes have noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import BootstrapError
from ...models import ClusterJobReport, JobRestart, NodeResult
from .following import End
from .job import Job, Part
from .nodes import Node


def report_of(
    job: Job, region: str | None, ends: Sequence[End], log_dir: Path | None, restarts: Sequence[JobRestart] = ()
) -> ClusterJobReport:
    """Return the report of a job that was followed to its end."""
    results = tuple(result_of(end.node, end.error or end.about) for end in ends)
    verdict = _verdict(ends)
    if verdict is None:
        verdict = _unknown(ends)
    return ClusterJobReport(
        cluster_id=job.cluster_id,
        region=region,
        job=job.name,
        succeeded=verdict["succeeded"],
        outcome=verdict["outcome"],
        reason=verdict["reason"],
        culprit=verdict["culprit"],
        log_dir=str(log_dir) if log_dir else None,
        results=results,
        restarts=tuple(restarts),
    )


def result_of(node: Node, part: Part) -> NodeResult:
    """Return what the part of a node has come to."""
    returncode = None
    error = None
    if isinstance(part, BootstrapError):
        error = str(part)
    elif part is None:
        error = "it has no part of this job"
    else:
        returncode = part["exit_code"]
        if part["state"] == "lost":
            error = "it ended without an exit code: the box was rebooted, or it was killed"
    return NodeResult(node.rank, node.host.instance_id, node.alias, returncode, error)


def _verdict(ends: Iterable[End]) -> Mapping[str, Any] | None:
    """Return how the agents say that the job has ended; None if none has.

    Where the network between them broke, each side has lost the other. Then that of most agents counts, and that of the
    first one if there are as many of both.
    """
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    counts: Counter[tuple[Any, ...]] = Counter()
    for end in ends:
        result = end.about and end.about["result"]
        if result:
            said = (result["outcome"], result["culprit"])
            found.setdefault(said, result)
            counts[said] += 1
    if not found:
        return None
    return found[max(counts, key=counts.__getitem__)]


def _unknown(ends: Sequence[End]) -> Mapping[str, Any]:
    """Return the outcome of a job of which no agent has left a result."""
    errors = [end.error for end in ends if end.error]
    if len(errors) == len(ends):
        return {
            "succeeded": None,
            "outcome": "unknown",
            "culprit": None,
            "reason": f"No node answers: {errors[0]}",
        }
    lost = next(end for end in ends if not end.error)
    reason = f"The agent of node {lost.node.rank} ended without a result."
    return {"succeeded": False, "outcome": "agent-failed", "culprit": lost.node.rank, "reason": reason}
