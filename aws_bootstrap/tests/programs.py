"""The program as its users run it: a process of its own, in a sandbox of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests import schema_check, starter

_READS = ("Describe", "Get", "List")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its stdout as exactly one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    """`program("status", "-o", "json")` runs a command against a sandbox."""

    sandbox: Sandbox

    def __call__(
        self, *args: str, env: dict[str, str | None] | None = None, timeout: float = 90, umask: int = -1
    ) -> Outcome:
        merged = {**self.sandbox.env, **(env or {})}
        known = {name: value for name, value in merged.items() if value is not None}
        return Outcome(*starter.run(args, known, umask, timeout))

    def started(self, *args: str) -> subprocess.Popen[str]:
        """The command under way, for a test that sends it a signal."""
        argv = [sys.executable, "-m", "aws_bootstrap", *args]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=self.sandbox.env, stdout=pipe, stderr=pipe, text=True)

    def json(self, *args: str, **kwargs: Any) -> tuple[int, Any]:
        """Exit code and document of the command with `-o json`; the document is as its schema in the docs says."""
        outcome = self(*args, "-o", "json", **kwargs)
        schema_check.check(args, outcome.document)
        return outcome.exit_code, outcome.document

    def ssh(self, *words: str, client: str = "ssh") -> subprocess.CompletedProcess[str]:
        """The real ssh (scp, sftp) with the sandbox's SSH config."""
        argv = [client, "-F", self.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"], *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def writes(program: Program) -> list[str]:
    """Return the calls so far that may have changed something in the account."""
    return [c["action"] for c in program.sandbox.log() if not c["action"].startswith(_READS)]


def started(program: Program, *words: str) -> subprocess.Popen[str]:
    """Return the command under way, with its document as JSON."""
    argv = [sys.executable, "-m", "aws_bootstrap", *words, "-o", "json"]
    return subprocess.Popen(argv, env=program.sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def billing(failed: dict[str, Any]) -> list[str]:
    """Return what still costs money, as the document of a failure says."""
    return [r["id"] for r in failed["error"]["resources"] if r["billing"]]


def alive(program: Program) -> list[str]:
    """Return the boxes of us-west-2 that `status` shows."""
    return [i["instance_id"] for i in program.json("status", "-r", "us-west-2")[1]["instances"]]
