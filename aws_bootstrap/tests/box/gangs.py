"""A gang of real agents on this machine: each has an address of the loopback network, and a run's folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.box.standins import RESOURCES

FILES = RESOURCES / "gang"
#: Another Python to run them with, such as the oldest one that a box has.
PYTHON = os.environ.get("GANG_PYTHON", sys.executable)
#: Nobody answers there.
NOBODY = "127.0.0.1:9"
LIMIT_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Gang:
    """The agents of a job. The code folder, `code`, is the same for all of them."""

    def __init__(self, base: Path, size: int, **spec: Any) -> None:
        """Write the runs' folders. Nothing is started."""
        self.folder = base
        self.code = base / "code"
        self.code.mkdir(parents=True)
        self.agents: dict[int, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "GUARDIAN_METADATA": NOBODY, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment["PATH"] = f"{base / 'bin'}:/usr/bin:/bin"
        # One that no other test has, so that a wildcard address is no trap either.
        net = f"127.{os.getpid() % 250 + 1}.{id(self) // 16 % 250}"
        self.spec = {
            "job": "job-20260101-000000",
            "cluster_id": "train",
            "nodes": [{"rank": rank, "address": f"{net}.{rank + 1}"} for rank in range(size)],
            "token": "secret",
            "port": free_port(),
            "rendezvous_port": free_port(),
            "launcher": "shell",
            "script": "job.sh",
            "folder": str(self.code),
            "end_seconds": 5,
            **spec,
        }
        for position in range(size):
            self.write(position)

    def write(self, position: int, **changes: Any) -> None:
        """Write the run's folder of a position."""
        run = self.run(position)
        shutil.copytree(FILES, run, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        (run / "spec.json").write_text(json.dumps({**self.spec, "position": position, **changes}))

    def run(self, position: int) -> Path:
        """Return the run's folder of a position."""
        return self.folder / f"run{position}"

    def script(self, text: str, name: str = "job.sh") -> Gang:
        """Write a file of the code folder."""
        (self.code / name).write_text(text)
        return self

    def program(self, name: str, text: str) -> Gang:
        """Write a program that the agents find on their PATH."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return self

    def start(self, *positions: int, **environment: str) -> Gang:
        """Start agents, without positions all of them."""
        for position in positions or range(len(self.spec["nodes"])):
            with open(self.run(position) / "log", "ab") as log:
                self.agents[position] = subprocess.Popen(
                    [PYTHON, str(self.run(position) / "gang.py")],
                    env={**self.environment, "NODE": str(position), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        return self

    def send(self, position: int, number: int) -> None:
        self.agents[position].send_signal(number)

    def log(self, position: int) -> str:
        return (self.run(position) / "log").read_text()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        limit = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < limit, f"{what}: {[self.log(position) for position in self.agents]}"
            time.sleep(0.02)

    def until_noted(self, name: str, count: int) -> list[str]:
        """Wait until a file of the code folder has so many lines. Return them."""
        self.until(lambda: len(self.lines(name)) >= count, f"{count} lines in {name}")
        return self.lines(name)

    def lines(self, name: str) -> list[str]:
        path = self.code / name
        return path.read_text().splitlines() if path.exists() else []

    def codes(self) -> list[int]:
        """Return the exit codes of the agents, once all have ended."""
        return [agent.wait(LIMIT_SECONDS) for agent in self.agents.values()]

    def results(self) -> list[dict[str, Any]]:
        """Return what the agents have written, once all have ended. One that was killed has none."""
        self.codes()
        found = []
        for position in self.agents:
            path = self.run(position) / "result.json"
            if path.exists():
                found.append(json.loads(path.read_text()))
        return found

    def result(self) -> tuple[Any, ...]:
        """Return outcome, culprit and reason, which all agents agree on."""
        shared = {(found["outcome"], found["culprit"], found["reason"]) for found in self.results()}
        assert len(shared) == 1, (shared, [self.log(position) for position in self.agents])
        return shared.pop()

    def processes(self) -> list[int]:
        """Return what runs of this gang, agents included: by the PATH that all of it has."""
        return with_variable(f"PATH={self.environment['PATH']}")

    def processes_of(self, position: int) -> list[int]:
        """Return what runs of a node, its agent included."""
        return sorted({*self.processes()} & {*with_variable(f"NODE={position}")})

    def kill(self, process: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def close(self) -> None:
        """End whatever is left."""
        for process in self.processes():
            self.kill(process, signal.SIGKILL)
        for agent in self.agents.values():
            agent.wait(LIMIT_SECONDS)


def with_variable(variable: str) -> list[int]:
    """Return the processes that were started with a variable of this value."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found
