"""The only door to subprocesses: ssh, ssh-keygen and ssh-add, and what is asked of a box through them."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import gpu
from .config import LOGIN_REFUSED_SECONDS, Paths
from .errors import SshError
from .gpu import GpuInfo
from .retry import poll

_CONNECTED = "@aws-bootstrap-connected"
"""First line of every remote command: what follows is the box's word, what precedes it is ssh's."""

_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "LogLevel=ERROR")

_FINAL = ("HOST IDENTIFICATION HAS CHANGED", "Host key verification failed", "Could not resolve hostname", "Bad owner")
"""What ssh says when trying again cannot help."""


@dataclass(frozen=True)
class Remote:
    """What a remote command said and how it ended."""

    exit_code: int
    lines: tuple[str, ...]


@dataclass
class Ssh:
    """Runs the real ssh client against our aliases."""

    paths: Paths = field(default_factory=Paths)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_open(self, host: str, port: int, timeout: float) -> None:
        """Return once the port accepts connections. SshError `ssh-timeout` if it never does."""

        def accepts() -> bool | None:
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2):
                return True
            return None

        if not poll(accepts, timeout=timeout, every=0.3, clock=self.clock, sleep=self.sleep):
            raise SshError(f"{host} did not open port {port} within {timeout:.0f} s.", code="ssh-timeout")

    def run(
        self,
        alias: str,
        command: str,
        *,
        stdin: bytes = b"",
        on_line: Callable[[str], None] = lambda line: None,
        patience: float = LOGIN_REFUSED_SECONDS,
    ) -> Remote:
        """What the command says, each line also handed to `on_line` as it comes.

        A booting box refuses logins for some seconds: refusals are retried until `patience` seconds have passed,
        then raised as SshError `ssh-refused` in ssh's own words. A connection that breaks later is `ssh-lost`.
        """

        def attempt() -> Remote | None:
            try:
                return self._once(alias, command, stdin, on_line)
            except _Refused as exc:
                refusal.append(exc)
                if any(words in str(exc) for words in _FINAL):
                    raise _refused(alias, exc) from exc
                return None

        refusal: list[_Refused] = []
        done = poll(attempt, timeout=patience, every=1.0, clock=self.clock, sleep=self.sleep)
        if done is None:
            raise _refused(alias, refusal[-1]) from refusal[-1]
        return done

    def query_gpu(self, alias: str) -> GpuInfo | None:
        """The box's first GPU; None if it has none that answers. SshError if the box does not."""
        done = self.run(alias, f"{{ {gpu.QUERY}}} 2>/dev/null", patience=0.0)
        return gpu.parse("\n".join(done.lines) + "\n")

    def mount_ebs_volume(self, alias: str, script: bytes, volume_id: str, *, format_if_empty: bool) -> dict[str, Any]:
        """What the mount script reports: device, mount_point, fstype, formatted. SshError `mount-failed` otherwise."""
        words = ["bash", "-s", "--", volume_id, *(["--format-if-empty"] if format_if_empty else [])]
        done = self.run(alias, wrapped(quoted(*words)), stdin=script)
        *_, last = done.lines or ("no output",)
        if done.exit_code:
            raise SshError(last, code="mount-failed")
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(last)
        raise SshError(f"The mount ended without a report: {last}", code="mount-failed")

    def _once(self, alias: str, command: str, stdin: bytes, on_line: Callable[[str], None]) -> Remote:
        argv = ["ssh", *self.paths.ssh_flags, *_OPTIONS, alias, f"echo {_CONNECTED}; {command}"]
        with tempfile.TemporaryFile() as source, _process(argv, source, stdin) as process:
            assert process.stdout and process.stderr
            lines = list(_told(process.stdout, on_line))
            words = process.stderr.read().strip()
        if process.returncode == 255 and not lines:
            raise _Refused(words or "ssh failed without a word")
        if process.returncode == 255 and words:
            raise SshError(f"The connection to {alias} broke: {words}", code="ssh-lost")
        return Remote(process.returncode, tuple(lines[1:]))


class _Refused(Exception):
    """ssh never got as far as running the command; its own words."""


def _refused(alias: str, cause: Exception) -> SshError:
    *_, last = str(cause).splitlines()
    if "connect to host" in last:
        return SshError(f"{alias} does not answer: {last}", code="ssh-timeout")
    return SshError(f"{alias} refuses the login: {last}", code="ssh-refused")


@contextlib.contextmanager
def _process(argv: Sequence[str], source, stdin: bytes) -> Iterator[subprocess.Popen]:
    """The running process, its input read from `source` (a pipe could block before ssh listens); ended at the end."""
    source.write(stdin)
    source.seek(0)
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=source, stdout=pipe, stderr=pipe, text=True, errors="replace")
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _told(stream, on_line: Callable[[str], None]) -> Iterator[str]:
    """The lines of the stream without their ends; those after the first are told as they come."""
    for number, line in enumerate(stream):
        text = line.rstrip("\n")
        if number:
            on_line(text)
        yield text


def wrapped(script: str) -> str:
    """A remote command whose standard error joins its output, so that it cannot pass for ssh's own words."""
    return f"{{ {script}; }} 2>&1"


def check_installed() -> None:
    """Raise SshError if there is no ssh to reach a box with."""
    if not shutil.which("ssh"):
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError("ssh is not installed.", hint=hint, code="no-ssh")


def keygen(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and complaint of ssh-keygen. SshError if it is not installed."""
    return _local("ssh-keygen", *arguments)


def agent_keys() -> list[str]:
    """The public keys that the running ssh-agent holds; empty without an agent."""
    code, text, _ = _local("ssh-add", "-L")
    return text.splitlines() if code == 0 else []


def _local(*argv: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    except subprocess.TimeoutExpired as exc:
        raise SshError(f"{argv[0]} did not answer.", hint="Is the ssh-agent hung? unset SSH_AUTH_SOCK") from exc
    except FileNotFoundError as exc:
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError(f"{argv[0]} is not installed.", hint=hint, code="no-ssh") from exc
    return done.returncode, done.stdout, done.stderr


def quoted(*words: str) -> str:
    """The words as one shell command."""
    return shlex.join(words)
