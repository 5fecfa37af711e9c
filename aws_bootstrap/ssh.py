"""The only door to subprocesses: ssh, ssh-keygen and ssh-add, and what is asked of a box through them.

Every wait on a box is bounded, and nothing that a box says can fill this machine's memory.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import selectors
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import gpu
from .config import LOGIN_REFUSED_SECONDS, Paths
from .errors import SshError
from .gpu import GpuInfo
from .retry import poll

CONNECT_SECONDS = 10
"""For how long a connection may take to be answered by an SSH server: its greeting, not only an open port."""

LOGIN_SECONDS = 120.0
"""From the start of ssh until the command runs, the login's rc files included. As sshd's own LoginGraceTime."""

SILENCE_SECONDS = 5400.0
"""For how long a command may say nothing: longer than any step of the setup may take (a test holds that)."""

GPU_SECONDS = 20.0
"""For a whole question about a GPU: one box that hangs must not hold back the view of all."""

MOUNT_SECONDS = 1800.0
"""For the whole mount of a data volume: longer than it waits for another mount and for the disk (7 minutes), and than
e2fsck takes for some terabytes, of which it reads the metadata alone. It speaks at its end only, so that the bound of
silence would hold a launch for 90 minutes."""

_CONNECTED = "@aws-bootstrap-connected"
"""The line that begins a command's output: what precedes it is the login's, ssh's or an rc file's."""

_ENDED = "@aws-bootstrap-ended"
"""Begins the line after the output, which gives the exit code. Without it the connection broke."""

# What the user sets for all hosts must not bend what is run here: a terminal, a command of his own, forwarded ports,
# or a shared connection, whose keepalive would be his and not ours.
_OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", f"ConnectTimeout={CONNECT_SECONDS}"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "LogLevel=ERROR"),
    *("-o", "ControlPath=none"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "RequestTTY=no"),
)

_CHANGED_KEY = ("HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")
_FINAL = (*_CHANGED_KEY, "Could not resolve hostname", "Bad owner")
"""What ssh says when trying again cannot help."""

_KEPT_BYTES = 8 * 1024 * 1024
"""Of a command's output: the end of it, which holds the report. A report takes some kilobytes."""
_KEPT_WORDS = 64 * 1024
"""Of ssh's own words, among which an rc file may write."""
_LONGEST_LINE = 1024 * 1024
_CHUNK = 65536
_LOOK_EVERY = 0.5


_MOUNT = """\
mkdir -p ~/.aws-bootstrap && chmod 700 ~/.aws-bootstrap && folder=$(mktemp -d ~/.aws-bootstrap/mount.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
tar xzf - -C "$folder" && bash "$folder/mount_data_volume.sh" "$@"
"""
_UNFORMATTED = 3
"""Exit status of mount_data_volume.sh where only the leave to format is missing."""
_NOTE = "note: "
"""Begins a line of mount_data_volume.sh that is for the user."""


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
        """Return once an SSH server greets on the port. SshError `ssh-timeout` if none does within `timeout` s."""
        end = self.clock() + timeout
        was_open = False

        def greets() -> bool | None:
            nonlocal was_open
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2) as connection:
                was_open = True
                # A port may accept and never answer: a firewall between us, or a box that is frozen.
                connection.settimeout(max(0.1, min(CONNECT_SECONDS, end - self.clock())))
                return True if connection.recv(4) else None
            return None

        if poll(greets, timeout=timeout, every=0.3, clock=self.clock, sleep=self.sleep):
            return
        if was_open:
            what = f"{host} accepts connections on port {port}, but no SSH server answered within {timeout:.0f} s."
        else:
            what = f"{host} did not open port {port} within {timeout:.0f} s."
        raise SshError(what, code="ssh-timeout")

    def run(
        self,
        alias: str,
        command: str,
        *,
        stdin: bytes = b"",
        on_line: Callable[[str], None] = lambda line: None,
        patience: float = LOGIN_REFUSED_SECONDS,
        limit: float | None = None,
    ) -> Remote:
        """Run a command in bash on the box. Return its exit code and the end of its output (8 MiB at most).

        Each line is also handed to `on_line` as it comes. A booting box refuses logins for some seconds: refusals are
        retried until `patience` seconds have passed, then raised as SshError `ssh-refused` in ssh's own words.
        A connection that breaks later is `ssh-lost`. `ssh-timeout`: no login within LOGIN_SECONDS, or the whole took
        longer than `limit` seconds.
        """
        check_installed()

        def attempt() -> Remote | None:
            try:
                return self._once(alias, command, stdin, _Output(on_line), limit)
            except _Refused as exc:
                refusal.append(exc)
                if any(words in str(exc) for words in _FINAL):
                    hint = self._host_key_hint(alias) if any(words in str(exc) for words in _CHANGED_KEY) else None
                    raise _refused(alias, exc, hint) from exc
                return None

        refusal: list[_Refused] = []
        done = poll(attempt, timeout=patience, every=1.0, clock=self.clock, sleep=self.sleep)
        if done is None:
            raise _refused(alias, refusal[-1]) from refusal[-1]
        return done

    def _host_key_hint(self, alias: str) -> str:
        """What to do about a host key that is not the pinned one. Only its user knows whether he replaced it."""
        pinned_as = effective_options(alias, *self.paths.ssh_flags).get("hostkeyalias", alias)
        forget = quoted("ssh-keygen", "-f", str(self.paths.known_hosts), "-R", pinned_as)
        return (
            "The host key is not the one of the first login: another machine may answer at the box's address.\n"
            f"If you replaced the box's host key yourself, forget the old one:  {forget}"
        )

    def query_gpu(self, alias: str) -> GpuInfo | None:
        """The box's first GPU; None if it has none that answers. SshError if the box does not."""
        done = self.run(alias, f"{{ {gpu.QUERY}}} 2>/dev/null", patience=0.0, limit=GPU_SECONDS)
        return gpu.parse("\n".join(done.lines) + "\n")

    def mount_ebs_volume(
        self, alias: str, package: bytes, volume_id: str, *, format_if_empty: bool
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """As the function of that name."""
        return mount_ebs_volume(self, alias, package, volume_id, format_if_empty=format_if_empty)

    def _once(self, alias: str, command: str, stdin: bytes, output: _Output, limit: float | None) -> Remote:
        argv = ["ssh", *self.paths.ssh_flags, *_OPTIONS, alias, _framed(command)]
        words = _Tail(_KEPT_WORDS)
        with tempfile.TemporaryFile() as source, _process(argv, source, stdin) as process:
            late = self._listen(process, output, words, limit)
            if late:
                raise _too_late(alias, late, output)
            status = _status(process)
        said = words.text().strip()
        if output.exit_code is not None:
            return Remote(output.exit_code, output.lines())
        if output.began:
            cause = _last_line(said) or f"ssh ended with status {status}"
            raise SshError(f"The connection to {alias} broke: {cause}", code="ssh-lost")
        if status == 255:
            raise _Refused(said or output.noise or "ssh failed without a word")
        raise _no_command(alias, output.noise or _last_line(said), status)

    def _listen(
        self, process: subprocess.Popen[bytes], output: _Output, words: _Tail, limit: float | None
    ) -> float | None:
        """Read both pipes as they fill, until the command has ended or the connection broke.

        Return the bound, in seconds, that was passed before that, or None.
        """
        assert process.stdout and process.stderr  # noqa: S101 (pipes, as `_process` asks)
        began = heard = self.clock()
        with selectors.DefaultSelector() as pipes:
            pipes.register(process.stdout, selectors.EVENT_READ, output.take)
            pipes.register(process.stderr, selectors.EVENT_READ, words.take)
            while pipes.get_map():
                ready = pipes.select(timeout=_LOOK_EVERY)
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK)
                    key.data(chunk)
                    if not chunk:
                        pipes.unregister(key.fileobj)
                    if key.fileobj is process.stdout:
                        heard = self.clock()
                if output.exit_code is not None:
                    return None  # what the command left running on the box may hold the connection open
                if not ready and process.poll() is not None:
                    return None  # ssh has ended; what it started (a ProxyCommand) still holds a pipe
                late = _passed(self.clock(), began, heard, limit, output)
                if late:
                    return late
        return None


def mount_ebs_volume(
    ssh: Ssh, alias: str, package: bytes, volume_id: str, *, format_if_empty: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Mount a volume on a box by the scripts in `package`, a gzipped tar.

    Return the script's report (device, mount_point, fstype, formatted) and its notes for the user. Raise
    VolumeUnformatted where only the leave to format is missing, SshError `mount-failed` for any other failure,
    `ssh-timeout` after MOUNT_SECONDS; the box goes on with what it is at.
    """
    arguments = [volume_id]
    if format_if_empty:
        arguments.append("--format-if-empty")
    done = ssh.run(alias, mount_command(*arguments), stdin=package, limit=MOUNT_SECONDS)
    *others, last = done.lines or ("no output",)
    if done.exit_code == _UNFORMATTED:
        raise VolumeUnformatted(last, code="mount-failed")
    if done.exit_code:
        raise SshError(last, code="mount-failed")
    notes = tuple(line.removeprefix(_NOTE) for line in others if line.startswith(_NOTE))
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(last), notes
    raise SshError(f"The mount ended without a report: {last}", code="mount-failed")


def _passed(now: float, began: float, heard: float, limit: float | None, output: _Output) -> float | None:
    """The bound, in seconds, that has been passed, or None."""
    if limit is not None and now - began > limit:
        return limit
    if not output.began and now - began > LOGIN_SECONDS:
        return LOGIN_SECONDS
    if now - heard > SILENCE_SECONDS:
        return SILENCE_SECONDS
    return None


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()

    def take(self, chunk: bytes) -> None:
        """Read on."""
        self._bytes += chunk
        if len(self._bytes) > 2 * self._size:
            del self._bytes[: -self._size]

    def text(self) -> str:
        """What was kept."""
        return self._bytes[-self._size :].decode("utf-8", "replace")


class _Output:
    """A command's output, line by line as it comes; its end is kept."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.began = False
        self.exit_code: int | None = None
        self.noise = ""
        """The last line before the command began."""
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._lines: deque[str] = deque()
        self._size = 0

    def take(self, chunk: bytes) -> None:
        """Read on; an empty chunk is the end."""
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        *lines, self._rest = text.split("\n")
        for line in lines:
            self._read(line.removesuffix("\r"))
        if self._rest and (not chunk or len(self._rest) > _LONGEST_LINE):
            self._read(self._rest)
            self._rest = ""

    def lines(self) -> tuple[str, ...]:
        """What was kept, without the empty line that stands before the mark of the end."""
        kept = list(self._lines)
        if kept and not kept[-1]:
            kept.pop()
        return tuple(kept)

    def _read(self, line: str) -> None:
        if not self.began:
            # An rc file's last line may lack its end.
            self.began = line.endswith(_CONNECTED)
            self.noise = line.strip() or self.noise
            return
        mark, _, code = line.partition(" ")
        if mark == _ENDED and code.isdecimal():
            self.exit_code = int(code)
            return
        self._keep(line)
        self._on_line(line)

    def _keep(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > _KEPT_BYTES:
            self._size -= len(self._lines.popleft()) + 1


def _framed(command: str) -> str:
    """The command between its marks, in a bash of its own, whatever the account's shell and its rc files are.

    `--norc`: bash would read ~/.bashrc a second time, as it does for every command that sshd starts.
    """
    end = f"printf '\\n%s %s\\n' {_ENDED} $code"
    script = f"echo {_CONNECTED}; (\n{command}\n); code=$?; {end}; exit $code"
    return in_bash(script)


def in_bash(script: str) -> str:
    """One command that bash, zsh, dash, fish and tcsh read alike: it runs the script in bash, without rc files.

    Even between single quotes a line end, `!` (tcsh), a backslash (fish) and a quote mean something else in each of
    them. They are sent as octal numbers, which printf on the box turns back.
    """
    for character in "\\\n!'":
        script = script.replace(character, f"\\0{ord(character):03o}")
    # Bash reads the file that BASH_ENV names, whatever --norc says: a `set -e` there would end the frame.
    return f"exec env -u BASH_ENV bash --norc -c 'eval \"$(printf %b \"$1\")\"' bash '{script}'"


class VolumeUnformatted(SshError):
    """The volume is empty and carries no filesystem, and there is no leave to format it."""


def mount_command(*arguments: str) -> str:
    """Return the remote command that unpacks the mount scripts from its input and runs them, whatever the login shell.

    They are unpacked into a new folder, so that two mounts at once do not meet.
    """
    return f"{quoted('bash', '-c', _MOUNT, 'mount', *arguments)} 2>&1"


class _Refused(Exception):
    """ssh never got as far as running the command; its own words."""


def _refused(alias: str, cause: Exception, hint: str | None = None) -> SshError:
    words = str(cause)
    last = _last_line(words)
    if "connect to host" in words or "timed out" in words:
        return SshError(f"{alias} does not answer: {last}", code="ssh-timeout")
    return SshError(f"{alias} refuses the login: {last}", hint=hint, code="ssh-refused")


def _no_command(alias: str, word: str, status: int) -> SshError:
    """The error for a login that ended by itself, as an rc file with an `exit` does, or an account that is barred."""
    what = f"{alias} ended the login before the command ran: {word or f'exit status {status}'}"
    return SshError(what, hint=f"Look at what the account runs at login (~/.bashrc): ssh {alias}")


def _too_late(alias: str, seconds: float, output: _Output) -> SshError:
    if not output.began:
        return SshError(f"{alias} did not log us in within {seconds:.0f} s.", code="ssh-timeout")
    if seconds == SILENCE_SECONDS:
        return SshError(f"The connection to {alias} broke: not a word for {seconds:.0f} s.", code="ssh-lost")
    return SshError(f"{alias} did not finish within {seconds:.0f} s.", code="ssh-timeout")


def _last_line(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1].strip() if lines else ""


@contextlib.contextmanager
def _process(argv: Sequence[str], source: Any, stdin: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """The running process, its input read from `source` (a pipe could block before ssh listens); ended at the end."""
    source.write(stdin)
    source.seek(0)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=source, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.terminate()
            _status(process)


def _status(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that is about to end; killed if it does not."""
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wrapped(script: str) -> str:
    """A remote command whose standard error joins its output, so that it cannot pass for ssh's own words."""
    return f"{{ {script}; }} 2>&1"


def check_installed() -> None:
    """Raise SshError if there is no ssh to reach a box with."""
    if not shutil.which("ssh"):
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError("ssh is not installed.", hint=hint, code="no-ssh")


def effective_options(alias: str, *flags: str) -> dict[str, str]:
    """Return what ssh would use for the alias: the first value of each keyword, in lower case.

    `flags` name the config, as in `Paths.ssh_flags`. SshError in ssh's own words if ssh cannot read its configuration.
    """
    code, text, complaint = _local("ssh", "-G", *flags, "--", alias)
    if code:
        words = complaint.strip().splitlines() or ["ssh failed without a word"]
        raise SshError(words[0], code="ssh-config")
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        options.setdefault(keyword, value)
    return options


def keygen(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and complaint of ssh-keygen. SshError if it is not installed."""
    return _local("ssh-keygen", *arguments)


def agent_keys() -> list[str]:
    """The public keys that the running ssh-agent holds; empty without an agent."""
    code, text, _ = _local("ssh-add", "-L")
    return text.splitlines() if code == 0 else []


def _local(*argv: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=30
        )
    except subprocess.TimeoutExpired as exc:
        hint = "Is the ssh-agent hung? unset SSH_AUTH_SOCK"
        if argv[0] == "ssh":
            hint = f"See where it waits: {shlex.join(argv)}"
        raise SshError(f"{argv[0]} did not answer.", hint=hint) from exc
    except FileNotFoundError as exc:
        hint = "Install the OpenSSH client, for example: sudo apt-get install openssh-client"
        raise SshError(f"{argv[0]} is not installed.", hint=hint, code="no-ssh") from exc
    return done.returncode, done.stdout, done.stderr


def quoted(*words: str) -> str:
    """The words as one shell command."""
    return shlex.join(words)
