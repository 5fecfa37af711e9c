"""Clusters on real Linux boxes with addresses of their own: what a job does when all is well, and when a node is not.

Run by .ci/cluster. Figures are printed in brackets. No test asserts one.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box.jobs import GANG, Job, figure, resumed_after
from aws_bootstrap.tests.box.machines import Network, until
from aws_bootstrap.tests.box.nodes import ContainerCluster

NODES = 4
STEPS = 60
NUMBERS = itertools.count(11)
JOBS = itertools.count(1)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("nodes"), has_mirrors=False)
    yield network
    network.close()


@pytest.fixture(scope="module")
def nodes(network: Network) -> Iterator[ContainerCluster]:
    """Four nodes, each on the network, in a cluster."""
    began = time.monotonic()
    cluster = ContainerCluster(network, "train", NODES, NUMBERS)
    figure(f"{NODES} nodes booted in {time.monotonic() - began:.1f} s")
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(nodes: ContainerCluster) -> ContainerCluster:
    """The cluster, complete again: what the test before has cut is replaced."""
    for rank in nodes.nodes:
        if rank not in nodes.running:
            nodes.boot(rank)
        nodes.restore_link(rank)
    return nodes


@pytest.fixture(scope="module")
def alone(nodes: ContainerCluster) -> dict[int, float]:
    """The losses of one process."""
    job = training(nodes, ranks=[0])
    job.start().wait()
    assert job.result(0)["outcome"] == "done", job.log(0)
    return job.losses()


def training(cluster: ContainerCluster, *options: str, checkpoints: str = "", **spec: Any) -> Job:
    """A training that is not started. It continues one that had the same `checkpoints`."""
    name = f"job-{next(JOBS)}"
    words = ("--steps", str(STEPS), "--checkpoint-every", "5", "--print-every", "1", *options)
    where = {"folder": "~/code", "checkpoint_dir": f"~/checkpoints/{checkpoints or name}"}
    return Job(cluster, name, "train.py", *words, data_script="prepare_data.py", **where, **spec)


def slow(cluster: ContainerCluster, **spec: Any) -> Job:
    """A training that has begun on all nodes and takes long."""
    job = training(cluster, "--slow", "0.3", **spec).start()
    job.wait_for(12)
    return job


def after(what: Callable[[], object], job: Job, ranks: list[int]) -> float:
    """Do something, and return after how many seconds nothing of the job runs on these nodes."""
    began = time.monotonic()
    what()
    job.wait(ranks)
    return time.monotonic() - began


def outcomes(job: Job, ranks: list[int]) -> set[tuple[str, int | None]]:
    """What the nodes say how it ended."""
    return {(job.result(rank)["outcome"], job.result(rank)["culprit"]) for rank in ranks}


def test_four_nodes_train_to_the_loss_of_one_process(cluster, alone):
    job = training(cluster).start()
    seconds = job.wait()
    assert outcomes(job, [0, 1, 2, 3]) == {("done", None)}, job.log(0)
    assert "4 processes continue after step 0" in job.log(0)
    assert list(alone) == list(range(1, STEPS + 1))
    assert job.losses() == pytest.approx(alone, abs=1e-3)
    worst = max(abs(job.losses()[step] - alone[step]) for step in alone)
    figure(f"4 nodes, {STEPS} steps: {seconds:.1f} s; the loss differs by {worst:.1e} at most")


@pytest.mark.parametrize("rank", [2, 0])
def test_a_power_cut_ends_the_job_everywhere_and_a_replacement_continues(cluster, alone, rank):
    job = slow(cluster, checkpoints=f"power{rank}")
    others = [other for other in range(NODES) if other != rank]
    seconds = after(lambda: cluster.cut_power(rank), job, others)
    figure(f"the power of node {rank} cut: the job has ended everywhere after {seconds:.1f} s")
    assert outcomes(job, others) == {("node-lost", rank)}

    cluster.boot(rank)
    again = training(cluster, checkpoints=f"power{rank}").start()
    again.wait()
    assert outcomes(again, [0, 1, 2, 3]) == {("done", None)}, again.log(0)
    assert 10 <= resumed_after(again.log(0)) < STEPS
    assert again.losses()[STEPS] == pytest.approx(alone[STEPS], abs=1e-3)
    figure(f"the replacement of node {rank} continues after step {resumed_after(again.log(0))}")


@pytest.mark.parametrize("rank", [1, 0])
@pytest.mark.parametrize("way", ["down", "nomaster"])
def test_a_node_that_is_cut_off_is_noticed_by_all_and_by_itself(cluster, rank, way):
    job = slow(cluster)
    seconds = after(lambda: cluster.cut_link(rank, way), job, [0, 1, 2, 3])
    figure(f"node {rank} cut off ({way}): the job has ended everywhere, there too, after {seconds:.1f} s")
    others = [other for other in range(NODES) if other != rank]
    assert outcomes(job, others) == {("node-lost", rank)}
    assert {outcome for outcome, _ in outcomes(job, [rank])} == {"node-lost"}


@pytest.mark.parametrize("ranks", [[0, 1, 2, 3], [3]])
def test_a_stop_leaves_no_process_anywhere(cluster, ranks):
    job = slow(cluster)
    assert all(len(job.processes(rank)) >= 3 for rank in range(NODES))
    seconds = after(lambda: job.stop(ranks), job, [0, 1, 2, 3])
    figure(f"stopped on {ranks}: nothing is left after {seconds:.1f} s")
    assert {outcome for outcome, _ in outcomes(job, [0, 1, 2, 3])} == {"stopped"}


def test_an_agent_that_was_killed_ends_the_job_on_the_others(cluster):
    job = slow(cluster)
    kill = f"sudo systemctl kill -s KILL aws-bootstrap-run-{job.name}"
    seconds = after(lambda: cluster.nodes[2].says(kill), job, [0, 1, 3])
    figure(f"all processes of node 2 killed: the job has ended everywhere after {seconds:.1f} s")
    assert outcomes(job, [0, 1, 3]) == {("node-lost", 2)}
    until(lambda: not job.processes(2), "systemd has ended the rest")


def test_the_jobs_that_check_a_cluster(cluster):
    canary = report(Job(cluster, "canary", "canary.py"), "canary")
    assert (canary["passed"], canary["world_size"], canary["backend"]) == (True, 4, "gloo")
    allreduce = report(Job(cluster, "allreduce", "allreduce.py"), "allreduce")
    assert allreduce["world_size"] == NODES
    assert allreduce["busbw_gb_s"] > 0
    bandwidth = Job(cluster, "bandwidth", "bandwidth.py", launcher="shell")
    slowest = min(report(bandwidth, "bandwidth", rank)["gbit_s"] for rank in range(NODES))
    assert slowest > 0
    figure(f"all-reduce {allreduce['busbw_gb_s']} GB/s, network {slowest} Gbit/s")


def report(job: Job, name: str, rank: int = 0) -> dict[str, Any]:
    """Run the job, if it has not. The object that it prints on a node."""
    if not job.result(rank):
        figure(f"{name}: {job.start().wait():.1f} s")
    assert job.result(rank)["outcome"] == "done", job.log(rank)
    (line,) = [line for line in job.log(rank).splitlines() if line.startswith("{")]
    return json.loads(line)[name]


def test_a_node_says_what_it_has(cluster):
    found = json.loads(cluster.nodes[1].says(f"/usr/bin/python3 -c {shlex.quote((GANG / 'checks.py').read_text())}"))
    address = cluster.nodes[1].address
    assert (found["torch"], found["addresses"], found["is_loopback"]) == ("2.13.0+cpu", [address], False)
