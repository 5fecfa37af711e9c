"""The only module that starts subprocesses: ssh, ssh-keygen and ssh-add, and what is run on a box through them.

Every wait on a box is bounded. `ssh_frame` marks a command and reads what comes back; `ssh_mount` mounts a data volume.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from . import gpu, idleness, open_files, timings
from .config import LOGIN_RETRY_SECONDS
from .errors import SshError
from .gpu import GpuInfo
from .idleness import Idleness
from .paths import Paths
from .ssh_errors import SILENCE_SECONDS, last_line, no_command, refused, too_late
from .ssh_frame import Output, Remote, Tail, framed, in_bash, quoted, wrapped
from .ssh_mount import MOUNT_SECONDS, VolumeUnformatted, mount_command, mount_ebs_volume

__all__ = [
    "CONNECT_SECONDS",
    "DEFAULT_TIMEOUTS",
    "GPU_SECONDS",
    "LOGIN_SECONDS",
    "LoginTimeouts",
    "MOUNT_SECONDS",
    "SILENCE_SECONDS",
    "Remote",
    "Ssh",
    "VolumeUnformatted",
    "agent_keys",
    "check_installed",
    "effective_options",
    "exit_status",
    "in_bash",
    "keygen",
    "mount_command",
    "mount_ebs_volume",
    "quoted",
    "wrapped",
]

#: For how long a connection may take to be answered by an SSH server: its greeting, not only an open port.
CONNECT_SECONDS = 10

#: The same while a login is retried: the port of a box that boots may drop what is sent to it, without an answer.
RETRIED_CONNECT_SECONDS = 2

#: From the start of ssh until the command runs, the login's rc files included. As sshd's own LoginGraceTime.
LOGIN_SECONDS = 120.0


#: For the whole query of a GPU: one box that hangs must not hold back the status of all.
GPU_SECONDS = 20.0

# What the user sets for all hosts must not change what is run here: a terminal, a command, forwarded ports, or a shared
# connection, whose keepalive would not be the one below.
OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "LogLevel=ERROR"),
    *("-o", "ControlPath=none"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "RequestTTY=no"),
)

#: A login whose key was refused.
_DENIED = ("Permission denied", "Too many authentication failures")
#: The port is open, and its server has not greeted yet.
_SLOW_GREETING = ("during banner exchange",)
CHANGED_KEY = ("HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")
#: Other messages of ssh after which a retry cannot help.
_FINAL = ("Could not resolve hostname", "Bad owner")

#: An alias like those of all boxes, which the user's own `Host` patterns match alike.
_ANY_BOX = "aws-gpu1"

#: Of ssh's own messages, among which an rc file may write.
_KEPT_WORDS = 64 * 1024
_CHUNK = 65536
#: Seconds between two logins that were not answered, and between two whose key was refused, which sshd logs.
_UNANSWERED_PAUSE = 0.3
_DENIED_PAUSE = 1.0
_LOOK_EVERY = 0.5


#: Separates the answers to the two queries of a box.
_IDLENESS_ENDS = "--- GPU ---"


def _ignore(line: str) -> None:
    pass


@dataclass(frozen=True)
class LoginTimeouts:
    """For how long a login is retried, in seconds."""

    #: Since the box first refused the key, which a booting box does for some seconds.
    refused: float = LOGIN_RETRY_SECONDS
    #: Since the first attempt, while the box does not answer at all or breaks the connection.
    unanswered: float = LOGIN_RETRY_SECONDS


DEFAULT_TIMEOUTS = LoginTimeouts()
#: A login that is not retried.
ONCE = LoginTimeouts(0.0, 0.0)


@dataclass
class Ssh:
    """Runs the real ssh client against the aliases of boxes."""

    paths: Paths = field(default_factory=Paths)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(
        self,
        alias: str,
        command: str,
        *,
        stdin: bytes = b"",
        on_line: Callable[[str], None] = _ignore,
        timeouts: LoginTimeouts = DEFAULT_TIMEOUTS,
        limit: float | None = None,
    ) -> Remote:
        """Run a command in bash on the box. Return its exit code and the end of its output (8 MiB at most).

        Each line is also handed to `on_line` as it comes. A booting box does not answer, and then refuses logins for
        some seconds: they are retried as long as `timeouts` says. After that SshError with ssh's message: `ssh-timeout`
        where nothing answered, `ssh-refused` otherwise. A connection that breaks later is `ssh-lost`. `ssh-timeout`
        also: no login within LOGIN_SECONDS, or the whole took longer than `limit` seconds.
        """
        check_installed()
        retries = _LoginRetries(timeouts, self.clock())
        with timings.measured("ssh", alias):
            while True:
                connect_seconds = retries.connect_seconds(self.clock())
                try:
                    return self._once(alias, command, stdin, Output(on_line), limit, connect_seconds)
                except _Refused as exc:
                    if exc.says(CHANGED_KEY):
                        raise refused(alias, exc, self.host_key_hint(alias)) from exc
                    pause = retries.pause(exc, self.clock())
                    if exc.says(_FINAL) or pause <= 0:
                        raise refused(alias, exc, seconds=timeouts.unanswered) from exc
                self.sleep(pause)

    def host_key_hint(self, alias: str) -> str:
        """Return the hint for a host key that is not the pinned one. Only the user knows if the key was replaced."""
        pinned_as = effective_options(alias, *self.paths.ssh_flags).get("hostkeyalias", alias)
        forget = quoted("ssh-keygen", "-f", str(self.paths.known_hosts), "-R", pinned_as)
        return (
            "The host key differs from the first login's: another machine may answer at the box's address.\n"
            f"If you replaced the box's host key yourself, remove the old one: {forget}"
        )

    def query_box(self, alias: str) -> tuple[GpuInfo | None, Idleness | None]:
        """Return the box's first GPU and its idleness; None for what does not answer. SshError if the box does not."""
        script = f"{idleness.QUERY}\necho '{_IDLENESS_ENDS}'\n{gpu.QUERY}"
        done = self.run(alias, f"{{ {script}}} 2>/dev/null", timeouts=ONCE, limit=GPU_SECONDS)
        written, _, cards = "\n".join(done.lines).partition(f"{_IDLENESS_ENDS}\n")
        return gpu.parse(cards + "\n"), idleness.parse(written)

    def mount_ebs_volume(
        self, alias: str, package: bytes, volume_id: str, *, format_if_empty: bool
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Mount a volume on a box, as `ssh_mount.mount_ebs_volume` does."""
        return mount_ebs_volume(self, alias, package, volume_id, format_if_empty=format_if_empty)

    def _once(
        self, alias: str, command: str, stdin: bytes, output: Output, limit: float | None, connect_seconds: int
    ) -> Remote:
        """Run the command in one connection. Raise _Refused if ssh ended before the command ran."""
        connect_timeout = ("-o", f"ConnectTimeout={connect_seconds}")
        argv = ["ssh", *self.paths.ssh_flags, *OPTIONS, *connect_timeout, alias, framed(command)]
        words = Tail(_KEPT_WORDS)
        with tempfile.TemporaryFile() as source, _process(argv, source, stdin) as process:
            late = self._listen(process, output, words, limit)
            if late:
                raise too_late(alias, late, output)
            status = exit_status(process)
        said = words.text().strip()
        if output.exit_code is not None:
            return Remote(output.exit_code, output.lines())
        if output.began:
            cause = last_line(said) or f"ssh ended with status {status}"
            raise SshError(f"The connection to {alias} broke: {cause}", code="ssh-lost")
        if status == 255:
            raise _Refused(said or output.noise or "ssh failed without a message")
        raise no_command(alias, output.noise or last_line(said), status)

    def _listen(
        self, process: subprocess.Popen[bytes], output: Output, words: Tail, limit: float | None
    ) -> float | None:
        """Read both pipes as they fill, until the command has ended or the connection broke.

        Return the bound, in seconds, that was passed before that, or None.
        """
        assert process.stdout  # noqa: S101 (`_process` opens pipes)
        assert process.stderr  # noqa: S101 (the same)
        began = heard = self.clock()
        with selectors.DefaultSelector() as pipes:
            pipes.register(process.stdout, selectors.EVENT_READ, output.take)
            pipes.register(process.stderr, selectors.EVENT_READ, words.take)
            while pipes.get_map():
                has_ended = process.poll() is not None  # before the look: then all it wrote can be read
                ready = pipes.select(timeout=0 if has_ended else _LOOK_EVERY)
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK)
                    key.data(chunk)
                    if not chunk:
                        pipes.unregister(key.fileobj)
                    if key.fileobj is process.stdout:
                        heard = self.clock()
                if output.exit_code is not None:
                    return None  # what the command left running on the box may hold the connection open
                if has_ended and not ready:
                    return None  # what ssh started (a ProxyCommand) still holds a pipe
                late = _passed(self.clock(), began, heard, limit, output)
                if late:
                    return late
        return None


def _passed(now: float, began: float, heard: float, limit: float | None, output: Output) -> float | None:
    """Return the bound, in seconds, that has been passed, or None."""
    if limit is not None and now - began > limit:
        return limit
    if not output.began and now - began > LOGIN_SECONDS:
        return LOGIN_SECONDS
    if now - heard > SILENCE_SECONDS:
        return SILENCE_SECONDS
    return None


class _Refused(Exception):
    """ssh ended before the command ran; its own message."""

    def says(self, phrases: Sequence[str]) -> bool:
        """Return whether ssh's message contains one of these phrases."""
        return any(phrase in str(self) for phrase in phrases)


@dataclass
class _LoginRetries:
    """The retries of one login, and when they end."""

    timeouts: LoginTimeouts
    began: float
    #: When the key was refused for the first time.
    denied: float | None = None
    #: Whether the port is open already, and its server takes its time.
    is_open: bool = False

    def connect_seconds(self, now: float) -> int:
        """Return for how long the next connection may take. It must not outlast the time in which a login is retried.

        Short as long as the port does not answer: then the next attempt finds it soon after it opens.
        """
        left = self.began + self.timeouts.unanswered - now
        if left <= 0:  # not retried
            return CONNECT_SECONDS
        longest = CONNECT_SECONDS if self.is_open else RETRIED_CONNECT_SECONDS
        return max(1, min(longest, round(left)))

    def pause(self, cause: _Refused, now: float) -> float:
        """Return how long to wait before the login is tried again after this cause; 0 or less: not again."""
        if cause.says(_DENIED):
            if self.denied is None:
                self.denied = now
            return min(_DENIED_PAUSE, self.denied + self.timeouts.refused - now)
        self.is_open = cause.says(_SLOW_GREETING)
        return min(_UNANSWERED_PAUSE, self.began + self.timeouts.unanswered - now)


@contextlib.contextmanager
def _process(argv: Sequence[str], source: IO[bytes], stdin: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the running process, its input read from `source` (a pipe could block before ssh listens); then end it."""
    source.write(stdin)
    source.seek(0)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=source, stdout=pipe, stderr=pipe, bufsize=0) as process:
        source.close()  # ssh has it
        try:
            yield process
        finally:
            process.terminate()
            exit_status(process)


def exit_status(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of a process that is about to end; kill it if it does not."""
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def check_installed() -> None:
    """Raise SshError `no-ssh` if ssh is not installed. Allow as many open files as connections take."""
    open_files.allow()
    if not shutil.which("ssh"):
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError("ssh is not installed.", hint=hint, code="no-ssh")


def effective_options(alias: str, *flags: str) -> dict[str, str]:
    """Return what ssh would use for the alias: the first value of each keyword, in lower case.

    `flags` name the config, as in `Paths.ssh_flags`. SshError with ssh's message if ssh cannot read its config.
    """
    code, text, complaint = _local("ssh", "-G", *flags, "--", alias)
    if code:
        words = complaint.strip().splitlines() or ["ssh failed without a message"]
        raise SshError(words[0], code="ssh-config")
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        options.setdefault(keyword, value)
    return options


def keygen(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, output and error output of ssh-keygen. SshError if it is not installed."""
    return _local("ssh-keygen", *arguments)


def agent_keys(flags: Sequence[str] = ()) -> list[str]:
    """Return the public keys that the agent of the boxes' logins holds; empty without an agent.

    ssh gets keys from the IdentityAgent of the SSH config, as 1Password and Secretive have it set, and from that of
    SSH_AUTH_SOCK only if there is none. `flags` name the config, as in `Paths.ssh_flags`.
    """
    environ = dict(os.environ)
    named = _identity_agent(flags)
    if named == "none":
        return []
    if named:
        environ["SSH_AUTH_SOCK"] = named
    code, text, _ = _local("ssh-add", "-L", environ=environ)
    if code:
        return []
    return text.splitlines()


def _identity_agent(flags: Sequence[str]) -> str | None:
    """Return the socket that the SSH config names for a box, `none` if no agent may be used, or None."""
    try:
        named = effective_options(_ANY_BOX, *flags).get("identityagent", "SSH_AUTH_SOCK")
    except SshError as exc:
        if exc.code != "ssh-config":
            raise
        return None  # a config that cannot be read is reported where it is written, and one that is missing is created
    if named == "SSH_AUTH_SOCK":
        return None
    if named.startswith("$"):  # the name of another variable; ssh has replaced everything else
        return os.environ.get(named[1:], "none")
    return named


def _local(*argv: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a program of this machine. Return its exit code, output and error output."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=30,
            env=environ,
        )
    except subprocess.TimeoutExpired as exc:
        hint = "If the ssh-agent hangs: unset SSH_AUTH_SOCK"
        if argv[0] == "ssh":
            hint = f"Run it by hand to see where it waits: {shlex.join(argv)}"
        raise SshError(f"{argv[0]} did not answer.", hint=hint) from exc
    except FileNotFoundError as exc:
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError(f"{argv[0]} is not installed.", hint=hint, code="no-ssh") from exc
    return done.returncode, done.stdout, done.stderr
