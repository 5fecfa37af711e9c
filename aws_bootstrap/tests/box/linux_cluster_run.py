"""The commands of clusters against real Linux boxes, which are the instances of a sandbox's EC2. Run by .ci/cluster.

Figures are printed in brackets. No test asserts one.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box.instances import InstanceNode, Instances
from aws_bootstrap.tests.box.jobs import figure, losses
from aws_bootstrap.tests.box.machines import Network, until
from aws_bootstrap.tests.box.nodes import EXAMPLES

NODES = 4
STEPS = 60
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
        code, _, err = self.run(
            "cluster", "launch", "--cluster-id", cluster_id, "--nodes", str(count), "--no-setup", "--yes"
        )
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
