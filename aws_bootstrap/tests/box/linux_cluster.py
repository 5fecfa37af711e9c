"""The agents of a job on real Linux boxes with addresses of their own: what ends them, without a client that looks on.

Run by .ci/cluster. Figures are printed in brackets. No test asserts one.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.jobs import Job, figure
from aws_bootstrap.tests.box.machines import Network, until
from aws_bootstrap.tests.box.nodes import ContainerCluster

RANKS = [0, 1, 2, 3]
NUMBERS = itertools.count(11)
JOBS = itertools.count(1)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("nodes"), has_mirrors=False)
    yield network
    network.close()


@pytest.fixture(scope="module")
def nodes(network: Network) -> Iterator[ContainerCluster]:
    """Four nodes."""
    began = time.monotonic()
    cluster = ContainerCluster(network, "train", len(RANKS), NUMBERS)
    figure(f"{len(RANKS)} nodes booted in {time.monotonic() - began:.1f} s")
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(nodes: ContainerCluster) -> ContainerCluster:
    """The cluster, complete again: what the test before has ended or cut off is there."""
    for rank in RANKS:
        if rank not in nodes.running:
            nodes.boot(rank)
        nodes.restore_link(rank)
    return nodes


def training(cluster: ContainerCluster) -> Job:
    """A training that has begun on all nodes and takes long."""
    name = f"job-{next(JOBS)}"
    words = ("--steps", "1000", "--print-every", "1", "--slow", "0.3")
    where = {"folder": "~/code", "checkpoint_dir": f"~/checkpoints/{name}"}
    job = Job(cluster, name, "train.py", *words, data_script="prepare_data.py", **where).start()
    job.wait_for(5)
    return job


def seconds_until_the_end(what: Callable[[], object], job: Job, ranks: list[int]) -> str:
    """Do something, and return after how many seconds nothing of the job runs on these nodes."""
    began = time.monotonic()
    what()
    job.wait(ranks)
    return f"nothing of the job is left after {time.monotonic() - began:.1f} s"


def outcomes(job: Job, ranks: list[int]) -> set[tuple[str, int | None]]:
    """What the nodes say how it ended."""
    return {(job.result(rank)["outcome"], job.result(rank)["culprit"]) for rank in ranks}


def others(rank: int) -> list[int]:
    return [other for other in RANKS if other != rank]


@pytest.mark.parametrize("rank", [2, 0])
def test_a_power_cut_ends_the_job_on_the_others(cluster, rank):
    job = training(cluster)
    seconds = seconds_until_the_end(lambda: cluster.cut_power(rank), job, others(rank))
    figure(f"the power of node {rank} cut: {seconds} elsewhere")
    assert outcomes(job, others(rank)) == {("node-lost", rank)}


@pytest.mark.parametrize("rank", [1, 0])
def test_a_node_whose_interface_is_down_is_noticed_by_all_and_by_itself(cluster, rank):
    job = training(cluster)
    seconds = seconds_until_the_end(lambda: cluster.cut_link(rank, "down"), job, RANKS)
    figure(f"node {rank} cut off: {seconds}, there neither")
    assert outcomes(job, others(rank)) == {("node-lost", rank)}
    assert {outcome for outcome, _ in outcomes(job, [rank])} == {"node-lost"}


@pytest.mark.parametrize("ranks", [RANKS, [3]])
def test_a_stop_leaves_no_process_anywhere(cluster, ranks):
    job = training(cluster)
    assert all(len(job.processes(rank)) >= 3 for rank in RANKS)
    seconds = seconds_until_the_end(lambda: job.stop(ranks), job, RANKS)
    figure(f"stopped on {ranks}: {seconds}")
    assert {outcome for outcome, _ in outcomes(job, RANKS)} == {"stopped"}


def test_an_agent_that_was_killed_ends_the_job_on_the_others(cluster):
    job = training(cluster)
    kill = f"sudo systemctl kill -s KILL aws-bootstrap-run-{job.name}"
    seconds = seconds_until_the_end(lambda: cluster.nodes[2].says(kill), job, others(2))
    figure(f"all processes of node 2 killed: {seconds} elsewhere")
    assert outcomes(job, others(2)) == {("node-lost", 2)}
    until(lambda: not job.processes(2), "systemd has ended the rest")
