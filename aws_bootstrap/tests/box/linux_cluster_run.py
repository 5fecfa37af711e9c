"""The commands of clusters against real Linux boxes, which are the instances of a sandbox's EC2. Run by .ci/cluster.

Figures are printed in brackets. No test asserts one.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box import guarded
from aws_bootstrap.tests.box.instances import InstanceNode, Instances
from aws_bootstrap.tests.box.jobs import figure, losses, resumed_after
from aws_bootstrap.tests.box.machines import Network, until
from aws_bootstrap.tests.box.nodes import EXAMPLES

NODES = 4
STEPS = 60
#: One without a GPU, as the containers have none.
INSTANCE_TYPE = "c5.xlarge"
NUMBERS = itertools.count(11)
CLUSTER = ("--cluster-id", "train")
TRAIN = ("--data-script", "prepare_data.py", "train.py")
OPTIONS = ("--steps", str(STEPS), "--checkpoint-every", "5", "--print-every", "1")
RANKS = range(NODES)


class User:
    """A user in the folder of his code, on a machine in the boxes' network."""

    def __init__(self, instances: Instances, folder: Path) -> None:
        """Copy the examples into the folder."""
        self.instances, self.folder = instances, folder
        shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.environment = dict(instances.sandbox.env)
        for command in ("LAUNCH", "CLUSTER_LAUNCH"):
            # The boxes of a sandbox listen elsewhere. These have the port and the key of their image.
            self.environment.pop(f"AWS_BOOTSTRAP_{command}_SSH_PORT", None)
            self.environment[f"AWS_BOOTSTRAP_{command}_KEY_PATH"] = str(instances.network.cache / "key.pub")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start the program with these words."""
        pipe = subprocess.PIPE
        argv = self.instances.words(*words)
        return subprocess.Popen(
            argv, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run the program to its end. Its exit code, output and messages."""
        return ended(self.begin(*words))

    def document(self, *words: str) -> dict[str, Any]:
        """Return the document of a command."""
        _, out, err = self.run(*words, "-o", "json")
        assert out, err
        return json.loads(out)

    def launch(self, cluster_id: str, count: int) -> None:
        """Launch a cluster, or the nodes that it lacks."""
        words = ("--cluster-id", cluster_id, "--nodes", str(count), "--instance-type", INSTANCE_TYPE)
        code, _, err = self.run("cluster", "launch", *words, "--no-setup", "--yes")
        assert code == 0, err

    def log(self, cluster_id: str = "train", rank: int = 0) -> str:
        """Return the log of a node in the newest job."""
        folders = sorted((self.folder / ".aws-bootstrap" / "clusters" / cluster_id).glob("job-*"))
        path = folders[-1] / f"rank-{rank}.log" if folders else None
        return path.read_text() if path and path.exists() else ""

    def wait_for(self, step: int, seconds: float = 240) -> None:
        """Wait until the newest job has done this step."""
        until(lambda: max(losses(self.log()), default=0) >= step, f"step {step}", seconds)

    def processes(self) -> list[str]:
        """Return what runs of jobs, on all boxes."""
        found: list[str] = []
        for node in self.instances.running:
            for process in node.processes():
                if "gang.py" in process.command or "AWSB_JOB=" in process.environment:
                    found.append(f"{node.machine}: {process.command}")
        return found

    def node(self, rank: int) -> InstanceNode:
        """Return the container of a node."""
        return self.instances.node("train", rank)


def ended(process: subprocess.Popen[str], seconds: float = 400) -> tuple[int, str, str]:
    """Return the exit code, output and messages of a command that ends by itself."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    cache = Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"])
    network = Network(cache, tmp_path_factory.mktemp("nodes"), has_mirrors=False)
    instances = Instances(network, tmp_path_factory.mktemp("sandbox") / "home", NUMBERS)
    yield instances
    instances.close()
    network.close()


@pytest.fixture
def user(instances: Instances, tmp_path: Path) -> User:
    """A user with a complete cluster."""
    user = User(instances, tmp_path / "code")
    for node in instances.running:
        node.set_link("master", "br0", "up")
    user.launch("train", NODES)
    for node in instances.running:
        node.says("rm -rf code")
    return user


@pytest.fixture(scope="module")
def alone(instances: Instances, tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """The losses of one process, on a cluster of one node."""
    user = User(instances, tmp_path_factory.mktemp("alone") / "code")
    user.launch("solo", 1)
    code, _, err = user.run("cluster", "run", "--cluster-id", "solo", *TRAIN, "--", *OPTIONS)
    assert code == 0, err
    return losses(user.log("solo"))


def test_the_nodes_of_a_cluster_know_each_other_and_end_together(instances, tmp_path):
    user = User(instances, tmp_path / "code")
    began = time.monotonic()
    user.launch("pair", 2)
    figure(f"cluster launch of 2 nodes, without the setup: {time.monotonic() - began:.1f} s")
    pair = [instances.node("pair", rank) for rank in range(2)]
    assert pair[0].says("getent hosts aws-pair-1").split() == [pair[1].private_address, "aws-pair-1"]
    shown = user.document("cluster", "status", "--cluster-id", "pair")
    assert [(one["public_ip"], one["private_ip"]) for one in shown["nodes"]] == [
        (node.address, node.private_address) for node in pair
    ]
    code, _, err = user.run("cluster", "terminate", "pair", "--yes")
    assert code == 0, err
    until(lambda: not any(node.is_running for node in pair), "both have ended")


def test_a_job_trains_to_the_loss_of_one_process(user, alone):
    began = time.monotonic()
    code, out, err = user.run("cluster", "run", *CLUSTER, *TRAIN, "--", *OPTIONS)
    figure(f"cluster run of {STEPS} steps on {NODES} nodes: {time.monotonic() - began:.1f} s")
    assert code == 0, err
    assert list(alone) == list(range(1, STEPS + 1))
    assert losses(user.log()) == pytest.approx(alone, abs=1e-3)
    assert f"rank 0: step {STEPS} loss" in out


def test_the_checks_before_a_long_job_pass(user):
    began = time.monotonic()
    ready = user.document("cluster", "prepare", "train")
    figure(f"cluster prepare: {time.monotonic() - began:.1f} s")
    assert (ready["verified"], ready["canary_passed"], ready["node_count"]) == (True, True, NODES), ready["checks"]
    assert ready["master_addr"] == user.node(0).private_address
    assert {one["torch"] for one in ready["nodes"]} == {"2.13.0+cpu"}
    began = time.monotonic()
    tested = user.document("cluster", "test", "train", "--bandwidth")
    figure(f"cluster test --bandwidth: {time.monotonic() - began:.1f} s, {tested['bandwidth_gb_per_second']} GB/s")
    assert (tested["passed"], tested["processes"], tested["backend"]) == (True, NODES, "gloo")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process_anywhere(user, number):
    process = user.begin("cluster", "run", *CLUSTER, *TRAIN, "--", *OPTIONS, "--slow", "0.3")
    user.wait_for(5)
    assert len(user.processes()) >= 3 * NODES
    began = time.monotonic()
    process.send_signal(number)
    code, _, err = ended(process)
    figure(f"{number.name}: the command has ended after {time.monotonic() - began:.1f} s")
    assert user.processes() == []
    assert code == 128 + number, err


@pytest.mark.parametrize("rank", [1, 0])
def test_a_node_that_is_cut_off_ends_the_job(user, rank):
    process = user.begin("cluster", "run", *CLUSTER, *TRAIN, "-o", "json", "--", *OPTIONS, "--slow", "0.3")
    user.wait_for(5)
    began = time.monotonic()
    user.node(rank).set_link("nomaster")
    code, out, _ = ended(process)
    figure(f"node {rank} cut off: the command has ended after {time.monotonic() - began:.1f} s")
    until(lambda: not user.processes(), "no process is left, on the node that is cut off too")
    shown = json.loads(out)
    assert (code, shown["succeeded"], shown["outcome"], shown["culprit"]) == (1, False, "node-lost", rank)


@pytest.mark.parametrize("rank", [2, 0])
def test_a_node_without_power_is_replaced_and_the_training_continues(user, alone, rank):
    assert_replaced(user, alone, rank, lambda: user.node(rank).cut_power(), "node-lost")


def test_a_node_with_a_spot_notice_is_replaced_before_ec2_takes_it_away(user, alone):
    node = user.node(1)
    guarded.serve_metadata(node, node.instance_id)
    notice = '{"action": "terminate", "time": "2030-01-02T03:04:05Z"}'
    assert_replaced(user, alone, 1, lambda: guarded.put(node, "/srv/imds/spot/instance-action", notice), "spot-notice")


def assert_replaced(user: User, alone: dict[int, float], rank: int, what: Callable[[], object], outcome: str) -> None:
    """Do something to a node under way. It must be replaced, and the training continue to the loss of one process."""
    before = user.node(rank).instance_id
    words = (*CLUSTER, "--max-restarts", "1", *TRAIN, "-o", "json", "--", *OPTIONS, "--slow", "0.3")
    process = user.begin("cluster", "run", *words)
    user.wait_for(12)
    began = time.monotonic()
    what()
    code, out, err = ended(process)
    figure(f"{outcome} of node {rank}: replaced, and done after {time.monotonic() - began:.1f} s")
    assert code == 0, err
    shown = json.loads(out)
    assert [(one["outcome"], one["replaced"]) for one in shown["restarts"]] == [(outcome, [rank])]
    assert 10 <= resumed_after(user.log()) < STEPS
    assert losses(user.log())[STEPS] == pytest.approx(alone[STEPS], abs=1e-3)
    assert user.node(rank).instance_id != before
    assert user.processes() == []
