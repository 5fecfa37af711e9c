"""The user's own ssh with its streams: a terminal that is handed over to it, and bytes that pass through unchanged.

ssh writes its own messages into a file (`-E`), so that they are not taken for those of the command on the box.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from .errors import SIGNALS, SSH_FAILED, SshError
from .ssh import CHANGED_KEY, CONNECT_SECONDS, OPTIONS, Ssh, check_installed, exit_status
from .ssh_errors import last_line, refused

#: What ssh says of a connection that it had: not of one that was never there.
_LOST = ("client_loop:", "Timeout, server", "closed by remote host", "Broken pipe", "Connection reset by")
_CHUNK = 65536
_LOOK_SECONDS = 0.5

type Take = Callable[[bytes], object]


@dataclass(frozen=True)
class Ended:
    """How ssh ended, and its own messages."""

    status: int
    said: str


def failure(ssh: Ssh, alias: str, said: str, *, began: bool = False) -> SshError:
    """Return the error for what ssh says of its own failure. `began`: the command had begun."""
    cause = last_line(said) or "ssh failed without a message"
    is_lost = any(phrase in said for phrase in _LOST) and "kex_exchange" not in said
    if began or is_lost:
        return SshError(f"The connection to {alias} broke: {cause}", code="ssh-lost")
    hint = None
    if any(phrase in said for phrase in CHANGED_KEY):
        hint = ssh.host_key_hint(alias)
    return refused(alias, RuntimeError(said.strip() or cause), hint)


# --- a terminal that is handed over ----------------------------------------------------------------------


def hand_over(ssh: Ssh, alias: str, command: str | None, options: Sequence[str]) -> Ended:
    """Run ssh on this process's own streams until it ends. SshError if ssh itself failed.

    Signals go to ssh, which has the terminal: what is typed, Ctrl-C among it, reaches the box. KeyboardInterrupt if a
    signal ended ssh.
    """
    check_installed()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "ssh.log")
        own = ("-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-E", str(log))
        argv = ["ssh", *ssh.paths.ssh_flags, *own, *options, "--", alias]
        if command is not None:
            argv.append(command)
        child = _Child()
        status = child.run(argv)
        said = _read(log)
    if child.signals and status in (SSH_FAILED, -child.signals[0]):
        raise SIGNALS[child.signals[0]]
    if status == SSH_FAILED and said:
        raise failure(ssh, alias, said)
    return Ended(status, said)


class _Child:
    """A program on this process's own streams. It gets the signals of this process."""

    def __init__(self) -> None:
        #: The signals that this process received meanwhile.
        self.signals: list[int] = []
        self._pid: int | None = None

    def run(self, argv: Sequence[str]) -> int:
        """Run the program; return its exit code, negative if a signal ended it."""
        before: dict[int, Any] = {}
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, self._pass_on)
        try:
            self._pid = os.posix_spawnp(argv[0], list(argv), os.environ)
            for number in self.signals:
                os.kill(self._pid, number)
            return self._wait(self._pid)
        finally:
            self._pid = None
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self.signals.append(number)
        if self._pid is not None:
            os.kill(self._pid, number)

    def _wait(self, pid: int) -> int:
        """Wait until the program ends. If it is stopped (Ctrl-Z, or ssh's own `~^Z`), stop with it."""
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)


# --- bytes that pass through -----------------------------------------------------------------------------


@dataclass
class Sessions:
    """Connections that end with the block: after an interrupt, too."""

    ssh: Ssh
    #: How many seconds a command may take for its first output, for those that print at once.
    first_within: float | None = None
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    #: Whether the block has ended.
    is_over: bool = False

    def __enter__(self) -> Self:
        check_installed()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the connections, and those that are about to begin."""
        self.is_over = True
        for process in list(self._processes):
            process.terminate()

    def stream(
        self, alias: str, command: str, on_output: Take, on_error: Take, *, stdin: bytes | None = b"", options: Any = ()
    ) -> Ended:
        """Run a command for ssh. Its output goes to these functions as it comes; an empty chunk is the end of each.

        `stdin`: what the command reads; None: what this process reads. SshError if it prints nothing for too long.
        """
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as source:
            source.write(stdin or b"")
            source.seek(0)
            log = Path(folder, "ssh.log")
            own = (*OPTIONS, "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-E", str(log))
            argv = ["ssh", *self.ssh.paths.ssh_flags, *options, *own, "--", alias, command]
            given = source if stdin is not None else None
            pipe = subprocess.PIPE
            with subprocess.Popen(argv, stdin=given, stdout=pipe, stderr=pipe, bufsize=0) as process:
                self._processes.append(process)
                try:
                    if self.is_over:
                        process.terminate()
                    _copy(process, on_output, on_error, self.first_within)
                except _Silent as exc:
                    process.terminate()
                    message = f"{alias} accepted the connection, and answered nothing for {self.first_within:.0f} s."
                    raise SshError(message, code="ssh-timeout") from exc
                except BaseException:
                    process.terminate()
                    raise
                finally:
                    status = exit_status(process)
                    self._processes.remove(process)
            return Ended(status, _read(log))


class _Silent(Exception):
    """The command has printed nothing for too long."""


class _FirstWord:
    """The time that a command has for its first output; None is any time."""

    def __init__(self, seconds: float | None) -> None:
        self._until: float | None = None
        if seconds is not None:
            self._until = time.monotonic() + seconds

    def look(self, has_come: bool) -> None:
        """Take note of output, or of none so far. _Silent if that is over."""
        if has_come:
            self._until = None
        elif self._until is not None and time.monotonic() > self._until:
            raise _Silent


def _copy(process: subprocess.Popen[bytes], on_output: Take, on_error: Take, first_within: float | None = None) -> None:
    """Pass on both streams as they come, until they end. _Silent if nothing comes within so many seconds."""
    first_word = _FirstWord(first_within)
    with selectors.DefaultSelector() as pipes:
        for stream, take in ((process.stdout, on_output), (process.stderr, on_error)):
            assert stream  # noqa: S101 (a pipe, as requested)
            pipes.register(stream, selectors.EVENT_READ, take)
        while pipes.get_map():
            has_ended = process.poll() is not None  # before the look: then all it wrote can be read
            ready = pipes.select(timeout=0 if has_ended else _LOOK_SECONDS)
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                key.data(chunk)
                if not chunk:
                    pipes.unregister(key.fileobj)
            first_word.look(bool(ready))
            if has_ended and not ready:
                return  # what ssh started holds a pipe


def _read(log: Path) -> str:
    """Return ssh's own messages; empty if it wrote none."""
    if not log.exists():
        return ""
    return log.read_text(errors="replace")
