"""One sandbox with two regions, and what it takes to run commands in it a thousand times from the same start."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aws_bootstrap.retry import poll
from aws_bootstrap.sandbox.home import LOGIN_PORT
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.matrix.account import Account
from aws_bootstrap.tests.matrix.starter import REGIONS
from aws_bootstrap.tests.matrix.worlds import WORLDS, Facts

AT_ONCE = dict.fromkeys(
    ("pending", "stopping", "shutting_down", "status_checks", "volume_creating", "attaching", "detaching"), 0.0
)
"""EC2's state changes come in the next moment: no case waits for the clock."""
READ_TIMEOUT = 1.0
LONGEST = 420.0
"""Seconds after which a command counts as hanging, and is killed: a log is followed again for five minutes."""
HUNG = 999
"""The exit code of such a command."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, or minus the number of the signal that ended it."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its stdout as one JSON document; None where it is none."""
        try:
            return json.loads(self.out)
        except ValueError:
            return None


@dataclass(frozen=True)
class Watch:
    """What is to be seen of replies, or taken from them: see `replies`."""

    record: Path | None = None
    drop: dict[str, str] | None = None


NO_WATCH = Watch()


class Bench:
    """A running sandbox with its starter; `with Bench(folder) as bench`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = folder / "client"
        self.sandbox = Sandbox(folder / "sandbox", timing=AT_ONCE)
        self.sandbox.regions(*REGIONS)
        self.worlds: dict[str, Facts] = {}
        self._make_client(None)
        self.code.mkdir()
        (self.code / "job.sh").write_text("echo reached\n")
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "aws_bootstrap.tests.matrix.starter", str(READ_TIMEOUT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            bufsize=0,  # else two answers that come at once are read together, and `select` waits for the second one
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def end_commands(self) -> None:
        """End the starter: no command starts any more."""
        self._starter.kill()
        self._starter.wait()

    def close(self) -> None:
        """End the sandbox and the starter."""
        self.end_commands()
        self.sandbox.stop()

    # --- where a case starts ------------------------------------------------------------------------------------

    def start_from(self, world: str, *, boot: bool = False) -> Facts:
        """Have account and client files be as the world says; the ids that are in it."""
        if world not in self.worlds:
            self._make_world(world)
        else:
            self.sandbox.restore(world, boot=boot)
            self._make_client(world)
        if boot:
            self._wait_for_ports()
        return self.worlds[world]

    def _make_world(self, world: str) -> None:
        self.sandbox.wipe()
        self._make_client(None)
        self.worlds[world] = WORLDS[world](self)
        self.sandbox.clear_log()
        self.sandbox.clear_ssh_fault()
        self.sandbox.snapshot(world)
        shutil.copytree(self.client, self._kept(world))

    def _wait_for_ports(self) -> None:
        """Return once every running box of ours accepts logins."""
        ours = Account.of(self.sandbox.inventory()).living_boxes()
        for instance in self.sandbox.status()["instances"]:
            if instance["instance_id"] not in ours:
                continue
            address = instance["public_ip"]
            poll(partial(_accepts, address), timeout=10.0, every=0.05)

    def _kept(self, world: str) -> Path:
        return self.folder / "worlds" / world

    def _make_client(self, world: str | None) -> None:
        """Have the user's files be as the world left them, or as they are before the first command."""
        shutil.rmtree(self.client, ignore_errors=True)
        if world:
            shutil.copytree(self._kept(world), self.client)
            return
        self.client.mkdir(parents=True, mode=0o700)
        self.ssh_config.write_bytes(FOREIGN_CONFIG)

    @property
    def foreign_config(self) -> bytes:
        """What the SSH config holds before the first command."""
        return FOREIGN_CONFIG

    @property
    def ssh_config(self) -> Path:
        """The user's SSH config."""
        return self.client / "ssh_config"

    @property
    def code(self) -> Path:
        """The folder in which the commands run: with a script for the nodes of a cluster."""
        return self.folder / "code"

    # --- commands -----------------------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        watch: Watch = NO_WATCH,
        meanwhile: Callable[[int], None] | None = None,
    ) -> Outcome:
        """The outcome of a command; `meanwhile` is given its process id as soon as it runs."""
        out, err = self.folder / "out", self.folder / "err"
        request = {
            "argv": list(argv),
            "env": self._environment(),
            "out": str(out),
            "err": str(err),
            "record": str(watch.record) if watch.record else None,
            "drop": watch.drop,
            "folder": str(self.code),
        }
        pid = self._ask(request)["pid"]
        if meanwhile:
            meanwhile(pid)
        code = self._wait(pid)
        return Outcome(tuple(argv), code, out.read_text(errors="replace"), err.read_text(errors="replace"))

    def _ask(self, request: dict[str, Any]) -> dict[str, int]:
        assert self._starter.stdin
        self._starter.stdin.write(f"{json.dumps(request)}\n".encode())
        return self._read()

    def _read(self) -> dict[str, int]:
        assert self._starter.stdout
        return json.loads(self._starter.stdout.readline())

    def _wait(self, pid: int) -> int:
        """The exit code of the command; one that takes too long is killed."""
        assert self._starter.stdout
        ready, _, _ = select.select([self._starter.stdout], [], [], LONGEST)
        if ready:
            return self._read()["code"]
        os.kill(pid, signal.SIGKILL)
        self._read()
        return HUNG

    def _environment(self) -> dict[str, str]:
        key = str(self.client / "id_ed25519.pub")
        own = {
            "HOME": str(self.client),
            "AWS_BOOTSTRAP_CONFIG": "",
            "AWS_BOOTSTRAP_HOME": str(self.client),
            "AWS_BOOTSTRAP_SSH_CONFIG": str(self.ssh_config),
            "AWS_BOOTSTRAP_LAUNCH_KEY_PATH": key,
            "AWS_BOOTSTRAP_CLUSTER_LAUNCH_KEY_PATH": key,
            "AWS_BOOTSTRAP_CLEANUP_KEY_PATH": key,
            "AWS_BOOTSTRAP_SETUP_KEY_PATH": key,
        }
        passed_on = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return passed_on | {k: v for k, v in self.sandbox.variables.items() if v is not None} | own


def _accepts(address: str) -> bool | None:
    """Whether the box's SSH port is open; None while it is not."""
    try:
        socket.create_connection((address, LOGIN_PORT), timeout=1).close()
    except OSError:
        return None
    return True


FOREIGN_CONFIG = b"""\
# mine
AddKeysToAgent no
Host build
    HostName build.example.org
    User me

Host aws-gpu-other
    HostName 192.0.2.7
"""
"""What the user's SSH config holds before the first command; not a byte of it may ever change."""
