"""A connection to a box that stays: forwarded ports and commands use it without a login of their own.

It is ssh's own master connection (ssh_config(5), ControlMaster), with a socket in a private folder. It ends with this
process, however that ends: a shell beside it waits for the end of a pipe, and ends ssh then.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from . import timings
from .errors import SSH_FAILED, BootstrapError, SshError
from .ssh import check_installed
from .ssh_errors import last_line, refused
from .ssh_frame import in_bash, quoted

#: For the whole login.
LOGIN_SECONDS = 60.0
#: For a program on the box: they list, compare and delete files.
RUN_SECONDS = 120.0
_CONNECT_SECONDS = 10
_LOOK_EVERY = 0.02
_END_SECONDS = 5.0

# What the user sets for all hosts must not change what is run here. A connection that is dead is known after 15 s.
_OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", f"ConnectTimeout={_CONNECT_SECONDS}"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "LogLevel=ERROR"),
    *("-o", "ControlMaster=yes"),
    *("-o", "ControlPersist=no"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "PermitLocalCommand=no"),
    *("-o", "RemoteCommand=none"),
    *("-o", "RequestTTY=no"),
)

#: Runs ssh until it ends, or until the end of the shell's standard input, which is a pipe of this process. From then on
#: the part that removes the folder ignores the TERM by which the other part ends it.
_KEEPER = """
exec 3<&0
folder=$1
shift
"$@" </dev/null 3<&- &
ssh=$!
{ cat <&3 >/dev/null; trap '' TERM; kill "$ssh"; rm -rf "$folder"; } 2>/dev/null &
watch=$!
exec 3<&-
wait "$ssh"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"""

#: The path of a Unix socket may have 104 bytes (macOS), and ssh adds 17 to it while it creates the socket.
_LONGEST_FOLDER = 60
#: Begins a command's output: what comes before it is the login's.
_BEGIN = b"@aws-bootstrap-output\n"


class Connection:
    """A connection that is open. `connected` opens one."""

    def __init__(self, alias: str, flags: Sequence[str]) -> None:
        self.alias = alias
        self._folder = _private_folder()
        self._socket = self._folder / "s"
        self._words = self._folder / "stderr"
        argv = ["ssh", *flags, *_OPTIONS, "-S", str(self._socket), "-N", alias]
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                ["sh", "-c", _KEEPER, "sh", str(self._folder), *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )

    def wait_open(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait until the login is complete. SshError with ssh's message if it fails."""
        began = clock()
        while not self._socket.exists():
            if self._process.poll() is not None:
                raise refused(self.alias, SshError(self._complaint()))
            if clock() - began > LOGIN_SECONDS:
                raise SshError(f"{self.alias} did not complete the login.", code="ssh-timeout")
            time.sleep(_LOOK_EVERY)

    def wait_end(self) -> str:
        """Wait until the connection breaks. Return ssh's message."""
        self._process.wait()
        return last_line(self._complaint())

    def is_open(self) -> bool:
        """Return whether the connection has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the connection, its forwarded ports, and its folder."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ssh(self, *options: str) -> list[str]:
        """Return the ssh that uses this connection, and never opens one of its own."""
        return ["ssh", *self.options(), *options]

    def options(self) -> list[str]:
        """Return the options of ssh and scp that use this connection. They read no config: the master has done that."""
        values = (f"ControlPath={self._socket}", "ControlMaster=no", "ProxyCommand=false", "BatchMode=yes")
        words = ["-F", "/dev/null"]
        for value in (*values, "LogLevel=ERROR"):
            words += ["-o", value]
        return words

    def forward(self, local_port: int, remote_port: int) -> None:
        """Forward a port of this machine's loopback to the box. SshError `forward-failed` if it cannot be opened."""
        rule = f"127.0.0.1:{local_port}:localhost:{remote_port}"
        done = _run(self.ssh("-O", "forward", "-L", rule, self.alias))
        if done.returncode:
            words = last_line(done.stderr.decode(errors="replace")) or "ssh gave no reason"
            raise SshError(f"Port {local_port} could not be forwarded: {words}", code="forward-failed")

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Run a program on the box. Return its exit code, its output, and the end of its error output.

        SshError `ssh-lost` if the connection broke, `ssh-timeout` if the program did not end in time.
        """
        script = f"echo {_BEGIN.decode().strip()}; exec {quoted(*words)}"
        try:
            done = _run(self.ssh(self.alias, in_bash(script)), stdin, limit=RUN_SECONDS)
        except subprocess.TimeoutExpired as exc:
            raise SshError(f"{self.alias} did not finish within {RUN_SECONDS:.0f} s.", code="ssh-timeout") from exc
        _, mark, output = done.stdout.partition(_BEGIN)
        said = last_line(done.stderr.decode(errors="replace"))
        if done.returncode == SSH_FAILED or not mark:
            raise SshError(f"The connection to {self.alias} broke: {said or 'no reason given'}", code="ssh-lost")
        return done.returncode, output, said

    def _complaint(self) -> str:
        return self._words.read_text(errors="replace").strip() or "ssh failed without a message"


@contextlib.contextmanager
def connected(alias: str, flags: Sequence[str]) -> Iterator[Connection]:
    """Yield an open connection, and end it. `flags` name the config, as in `Paths.ssh_flags`."""
    connection = opened(alias, flags)
    try:
        yield connection
    finally:
        connection.close()


def opened(alias: str, flags: Sequence[str]) -> Connection:
    """Return an open connection, which the caller closes. SshError if the login fails."""
    check_installed()
    with timings.measured("ssh", alias):
        connection = Connection(alias, flags)
        try:
            connection.wait_open()
        except BaseException:
            connection.close()
            raise
    return connection


def _private_folder() -> Path:
    """Return a new folder for the socket, with a short path that needs no quotes."""
    base = tempfile.gettempdir()
    if len(base) > _LONGEST_FOLDER or shlex.quote(base) != base:
        base = "/tmp"  # noqa: S108 (the folder below it is created by mkdtemp, for its owner alone)
    return Path(tempfile.mkdtemp(prefix="aws-bootstrap-", dir=base))


def free_port(requested: int) -> int:
    """Return that port of this machine's loopback, or another one that is free if it is taken."""
    for port in (requested, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise BootstrapError("This machine has no free port.", code="forward-failed")


def start(argv: Sequence[str]) -> None:
    """Start an editor of this machine, which returns at once. BootstrapError `editor-failed` if it fails."""
    done = _run(argv)
    if done.returncode:
        words = last_line(done.stderr.decode(errors="replace")) or f"exit status {done.returncode}"
        raise BootstrapError(f"{argv[0]} failed: {words}", hint=f"Try it: {shlex.join(argv)}", code="editor-failed")


def _run(argv: Sequence[str], stdin: bytes = b"", limit: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a program of this machine to its end. An interrupt ends it, and a limit in seconds: TimeoutExpired."""
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=limit, check=False, start_new_session=True)
