"""A job on a cluster of containers, started as the tool does it: an agent on each node, as a run under systemd."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from aws_bootstrap.tests.box.machines import until
from aws_bootstrap.tests.box.nodes import ContainerCluster
from aws_bootstrap.workflows import runs

GANG = files("aws_bootstrap") / "resources" / "gang"
RUNNER = (runs.RESOURCES / "job.py").read_text()
AGENT = 'exec /usr/bin/python3 -s -E "$AWS_BOOTSTRAP_RUN_FOLDER/gang.py"'


class Job:
    """A job on the nodes of these ranks, all that run without any. Nothing is started yet."""

    def __init__(self, cluster: ContainerCluster, name: str, script: str, *arguments: str, **spec: Any) -> None:
        """Describe it. `spec` goes into spec.json of each node."""
        self.cluster, self.name = cluster, name
        self.ranks: list[int] = spec.pop("ranks", sorted(cluster.running))
        addresses = [{"rank": rank, "address": cluster.nodes[rank].address} for rank in self.ranks]
        self.spec: dict[str, Any] = {
            "job": name,
            "cluster_id": cluster.cluster_id,
            "nodes": addresses,
            "token": secrets.token_hex(16),
            "launcher": "torchrun",
            "script": script,
            "arguments": list(arguments),
        }
        self.spec.update(spec)

    def start(self) -> Job:
        """Start its agents, all at the same time."""
        self.cluster.each(self._start, self.ranks)
        return self

    def _start(self, rank: int) -> None:
        sent = {path.name: path.read_text() for path in GANG.iterdir() if path.name.endswith(".py")}
        sent["spec.json"] = json.dumps(self.spec | {"position": self.ranks.index(rank)})
        run = {"command": AGENT, "folder": None, "name": self.name, "then": None, "files": sent, "job": RUNNER}
        answer = self._answer(rank, runs.PYTHON, runs.program("start", run))
        assert "error" not in json.loads(answer[-1]), answer

    def _answer(self, rank: int, words: str, sent: bytes) -> tuple[str, ...]:
        done = self.cluster.app.ssh.run(self.cluster.alias(rank), words, stdin=sent)
        assert done.exit_code == 0, done.lines
        return done.lines

    def stop(self, ranks: list[int]) -> None:
        """Stop it on these nodes."""
        words = f"sudo systemctl stop aws-bootstrap-run-{self.name}"
        self.cluster.each(lambda rank: self.cluster.nodes[rank].says(words), ranks)

    def log(self, rank: int) -> str:
        """Return the log of a node, read from outside."""
        return self._file(rank, "log") or ""

    def result(self, rank: int) -> dict[str, Any]:
        """Return how the job has ended on a node, nothing while it has not."""
        return json.loads(self._file(rank, "result.json") or "{}")

    def _file(self, rank: int, name: str) -> str | None:
        path = self.cluster.nodes[rank].path(f"home/ubuntu/.aws-bootstrap/runs/{self.name}/{name}")
        return path.read_text() if path.exists() else None

    def processes(self, rank: int) -> list[str]:
        """Return the processes of the job on a node: its agent, and all that have its variables."""
        found: list[str] = []
        for process in self.cluster.nodes[rank].processes():
            if f"/{self.name}/" in process.command or f"AWSB_JOB={self.name} " in f"{process.environment} ":
                found.append(process.command)
        return found

    def wait(self, ranks: list[int] | None = None, seconds: float = 240) -> float:
        """Wait until nothing of the job runs on these nodes, on all of it without any. The seconds that took."""
        began = time.monotonic()
        for rank in self.ranks if ranks is None else ranks:
            self._until(partial(self._has_ended, rank), f"an end on {rank}", seconds)
        return time.monotonic() - began

    def _has_ended(self, rank: int) -> bool:
        return bool(self.result(rank)) and not self.processes(rank)

    def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        try:
            until(condition, f"{self.name}: {what}", seconds)
        except TimeoutError as error:
            logs = [f"--- {rank}\n{self.log(rank)[-3000:]}\n{self.processes(rank)}" for rank in self.ranks]
            raise TimeoutError("\n".join([str(error), *logs])) from error

    def wait_for(self, step: int, seconds: float = 240) -> None:
        """Wait until the training has done this step."""
        self._until(lambda: max(self.losses(), default=0) >= step, f"step {step}", seconds)

    def losses(self) -> dict[int, float]:
        """Return the losses by step, from the log of the first node."""
        return losses(self.log(self.ranks[0]))


def losses(log: str) -> dict[int, float]:
    """Return the losses by step that the example has printed."""
    return {int(step): float(loss) for step, loss in re.findall(r"step (\d+) loss (\S+)\n", log)}


def resumed_after(log: str) -> int:
    """Return after which step the example has continued."""
    (step,) = re.findall(r"continue after step (\d+)\n", log)
    return int(step)


def figure(text: str) -> None:
    """Print something measured."""
    sys.stderr.write(f"\n[{text}]\n")
