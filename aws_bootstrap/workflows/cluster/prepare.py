"""Check a cluster before a long job: compare its nodes, measure their network, and compute on all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ... import output
from ...ec2 import quota_family
from ...errors import BootstrapError
from ...models import Check, ClusterPrepareReport, ClusterTestReport, NodeFacts
from . import facts
from .connections import answering, check_free, connected
from .members import Cluster
from .nodes import Node, all_ready
from .probes import ALLREDUCE, BANDWIDTH, CANARY, Probed, Probes

if TYPE_CHECKING:
    from ...app import App


def prepare(app: App, cluster: Cluster, *, canary: bool) -> ClusterPrepareReport:
    """Check the nodes of a cluster. Return what each is, and which checks have passed.

    BootstrapError if a node is missing or does not run, `job-running` if there is a job.
    """
    nodes = all_ready(cluster)
    with answering(app, nodes) as (connections, silent):
        if silent:
            return _unreachable(cluster, nodes, silent)
        check_free(cluster.cluster_id, nodes, connections)
        with output.working(f"Reading what {len(nodes)} nodes have"):
            found, unread = _read(nodes, connections)
        if unread:
            return _unreachable(cluster, nodes, unread)
        checks = [Check("reachable", True, f"{len(nodes)} nodes"), *facts.checks(found, with_gpu=_has_gpu(cluster))]
        probes = Probes(app, cluster.cluster_id, nodes, connections)
        with output.working("Measuring the network between the nodes"):
            found, check = _measured(probes, found)
        checks.append(check)
        canary_passed = None
        if canary and all(check.passed for check in checks):
            with output.working("Training a small model on all nodes"):
                check = _canary(probes)
            checks.append(check)
            canary_passed = check.passed
    return _report(cluster, nodes, checks, found, canary_passed)


def test(app: App, cluster: Cluster, *, bandwidth: bool) -> ClusterTestReport:
    """Compute on all nodes together, and with `bandwidth` measure all-reduce. Return how that ended on each node."""
    nodes = all_ready(cluster)
    with connected(app, nodes) as connections:
        check_free(cluster.cluster_id, nodes, connections)
        probes = Probes(app, cluster.cluster_id, nodes, connections)
        with output.working("Training a small model on all nodes"):
            probed = probes.run(CANARY, "canary")
        passed = _has_passed(probed)
        measured: Mapping[str, Any] = {}
        about = _printed(probed)
        if passed and bandwidth:
            with output.working("Measuring all-reduce over all processes"):
                probed = probes.run(ALLREDUCE, "allreduce")
            passed = probed.report.succeeded is True
            measured = _printed(probed)
    report = probed.report
    return ClusterTestReport(
        cluster_id=cluster.cluster_id,
        region=cluster.region,
        job=report.job,
        passed=passed,
        reason=report.reason,
        results=report.results,
        bandwidth_gb_per_second=measured.get("busbw_gb_s"),
        backend=about.get("backend"),
        processes=about.get("world_size"),
    )


def _has_gpu(cluster: Cluster) -> bool:
    """Return whether the nodes are of instance types with a GPU."""
    return all(quota_family(box.instance.instance_type) is not None for box in cluster.nodes)


def _read(nodes: Sequence[Node], connections: Mapping[int, Any]) -> tuple[list[NodeFacts], dict[Node, BootstrapError]]:
    """Return what the nodes have, and which do not say it."""
    found: list[NodeFacts] = []
    unread: dict[Node, BootstrapError] = {}
    for node, answer in zip(nodes, facts.read(nodes, connections), strict=True):
        if isinstance(answer, BootstrapError):
            unread[node] = answer
        else:
            found.append(answer)
    return found, unread


def _unreachable(
    cluster: Cluster, nodes: Sequence[Node], silent: Mapping[Node, BootstrapError]
) -> ClusterPrepareReport:
    """Return the report of a cluster some of whose nodes do not answer: nothing else is checked."""
    detail = "; ".join(str(error) for error in silent.values())
    known: list[NodeFacts] = []
    for node in nodes:
        known.append(NodeFacts(node.rank, node.host.instance_id, node.alias, node.address))
    return _report(cluster, nodes, [Check("reachable", False, detail)], known, None)


def _measured(probes: Probes, found: Sequence[NodeFacts]) -> tuple[list[NodeFacts], Check]:
    """Return the facts with the network of each node, and the check of it."""
    probed = probes.run(BANDWIDTH, "bandwidth")
    measured: list[NodeFacts] = []
    for one in found:
        value = probed.values.get(one.rank, {})
        measured.append(replace(one, gbit_per_second=value.get("gbit_s"), round_trip_ms=value.get("round_trip_ms")))
    reason = None if probed.report.succeeded else probed.report.reason
    return measured, facts.network(measured, reason)


def _canary(probes: Probes) -> Check:
    probed = probes.run(CANARY, "canary")
    if not _has_passed(probed):
        return Check("canary", False, probed.report.reason or "it failed")
    about = _printed(probed)
    return Check("canary", True, f"{about['world_size']} processes trained together ({about['backend']})")


def _has_passed(probed: Probed) -> bool:
    """Return whether the canary says so, and its job succeeded."""
    return probed.report.succeeded is True and _printed(probed).get("passed") is True


def _printed(probed: Probed) -> Mapping[str, Any]:
    """Return what the process of rank 0 has printed, empty if nothing."""
    for rank in sorted(probed.values):
        return probed.values[rank]
    return {}


def _report(
    cluster: Cluster, nodes: Sequence[Node], checks: Sequence[Check], found: Sequence[NodeFacts], canary: bool | None
) -> ClusterPrepareReport:
    return ClusterPrepareReport(
        cluster_id=cluster.cluster_id,
        region=cluster.region,
        verified=all(check.passed for check in checks),
        canary_passed=canary,
        master_addr=nodes[0].address,
        node_count=len(nodes),
        checks=tuple(checks),
        nodes=tuple(found),
    )
