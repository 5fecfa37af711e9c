"""Copies files between this machine and a box: rsync or scp, over a connection that is open already."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import IO

from .errors import BootstrapError, SshError
from .models.transfer import size_text
from .ssh_bytes import AfterMark
from .ssh_frame import CONNECTED, in_bash, quoted
from .ssh_tunnel import Connection

#: The program of resources/ that both sides run.
_BOX_FILES = files("aws_bootstrap") / "resources" / "box_files.py"
_CHUNK = 65536
_STDERR = 2
#: The oldest rsync that compares times exactly, of 2018. macOS has another program of that name.
_OLDEST_RSYNC = (3, 1, 3)
#: rsync's exit codes: some files could not be transferred, or vanished.
_PARTIAL = (23, 24)
#: rsync's exit code where the other side was silent for so many seconds.
_SILENT = 30
_SILENCE_SECONDS = 120
#: Links stay links; times are kept, so that the next transfer skips what is equal; modes as new files get them.
_RSYNC = (
    *("--recursive", "--links", "--times", "--executability", "--secluded-args"),
    *("--partial-dir=.rsync-partial", "--8-bit-output", "--outbuf=N", "--no-human-readable"),
    f"--timeout={_SILENCE_SECONDS}",
    # Else a file that changed twice in one second, to the same size, would count as equal.
    "--modify-window=-1",
    *("--info=progress2", "--stats", "--out-format=@%i %n"),
)
_PERCENT = re.compile(r"^\s*([0-9,]+)\s+([0-9]+)%\s+(\S+)")
_WILDCARD = re.compile(r"[][*?]")
_SPECIAL = re.compile(r"[][*?\\]")
_ESCAPED = re.compile(r"\\#([0-7]{3})")
_TRANSFERRED = re.compile(r"^Number of regular files transferred: ([0-9,.]+)")
_BYTES = re.compile(r"^Total transferred file size: ([0-9,.]+)")
#: How scp before version 8.7 refuses `-s`.
_OLD_SCP = re.compile(r"(unknown|illegal) option -- s")


def _ignore(text: str) -> None:
    pass


@dataclass
class Transfer:
    """What a transfer did, as it goes on."""

    files: int = 0
    bytes: int = 0
    #: rsync's line for each file and link, as `%i %n`.
    items: list[tuple[str, str]] = field(default_factory=list)
    #: The messages of rsync or scp about files that were not copied.
    errors: tuple[str, ...] = ()
    #: Whether the connection broke meanwhile.
    lost: bool = False


# --- files of either side --------------------------------------------------------------------------------


def box_files(connection: Connection | None, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run resources/box_files.py on the box, or on this machine without a connection. Return its code and outputs."""
    if connection is not None:
        return connection.run("python3", "-I", "-c", _BOX_FILES.read_text(), *words, stdin=stdin)
    argv = [sys.executable, "-I", "-c", _BOX_FILES.read_text(), *words]
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False, start_new_session=True)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()


# --- rsync -----------------------------------------------------------------------------------------------


def has_rsync() -> bool:
    """Return whether this machine has an rsync that can be used."""
    if not shutil.which("rsync"):
        return False
    done = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"rsync\s+version v?([0-9]+)\.([0-9]+)\.([0-9]+)", done.stdout)
    return version is not None and (int(version[1]), int(version[2]), int(version[3])) >= _OLDEST_RSYNC


def rsync(
    connection: Connection,
    sources: Sequence[str],
    destination: str,
    *options: str,
    stdin: bytes = b"",
    on_progress: Callable[[str], None] = _ignore,
) -> Transfer:
    """Copy with rsync. Return what it did. SshError `ssh-lost` if the connection broke before anything was copied.

    BootstrapError `copy-failed` with rsync's message if it did not start. Paths of the box begin with its alias.
    """
    shell = shlex.join(connection.ssh())
    argv = ["rsync", *_RSYNC, *options, "-e", shell, "--", *sources, destination]
    transfer = Transfer()
    code, words = _followed(argv, stdin, _RsyncOutput(transfer, on_progress).take)
    if not code:
        return transfer
    transfer.errors = tuple(_complaints(words)) or (f"rsync ended with status {code}",)
    transfer.lost = code == _SILENT or not connection.is_open()
    if code in _PARTIAL or transfer.items:
        return transfer
    raise _failed("rsync", transfer, connection.alias)


def source(alias: str, path: str) -> str:
    """Return a path of the box to copy from. Its wildcards are escaped: they are expanded already."""
    if _WILDCARD.search(path):
        path = _SPECIAL.sub(r"\\\g<0>", path)
    return target(alias, path)


def is_hard_for_rsync(path: str) -> bool:
    """Return whether rsync would refuse a name of the box: it compares what it escaped with what it gets."""
    return "\\" in path and _WILDCARD.search(path) is not None


def target(alias: str, path: str) -> str:
    """Return a path of the box to copy to."""
    return f"{alias}:{path}"


class _RsyncOutput:
    """Reads what rsync prints: a line for each file, its progress, its sums."""

    def __init__(self, transfer: Transfer, on_progress: Callable[[str], None]) -> None:
        self._transfer = transfer
        self._on_progress = on_progress
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Read the next bytes."""
        *lines, self._rest = re.split(rb"[\r\n]", self._rest + chunk)
        for line in lines:
            self._read(os.fsdecode(line))

    def _read(self, line: str) -> None:
        transfer = self._transfer
        progress = _PERCENT.match(line)
        if line.startswith("@"):
            change, _, name = line[1:].partition(" ")
            transfer.items.append((change, _unescaped(name)))
        elif progress:
            self._on_progress(f"{progress[2]} %  {size_text(_number(progress[1]))}  {progress[3]}")
        elif counted := _TRANSFERRED.match(line):
            transfer.files = _number(counted[1])
        elif counted := _BYTES.match(line):
            transfer.bytes = _number(counted[1])


def _number(text: str) -> int:
    return int(re.sub("[,.]", "", text))


def _unescaped(name: str) -> str:
    """Return a file's name without rsync's escapes of control characters."""
    return _ESCAPED.sub(_character, name)


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))


# --- scp -------------------------------------------------------------------------------------------------


def scp(connection: Connection, sources: Sequence[str], destination: str, *, with_meter: bool) -> Transfer:
    """Copy with scp. Return its errors; the caller counts what it copied. `with_meter`: at a terminal, show scp's own.

    BootstrapError `no-rsync` if this scp is too old for every name.
    """
    argv = ["scp", *connection.options(), "-s", "-r", "-p", "--", *sources, destination]
    words = bytearray()
    code = _run_scp(argv, words, with_meter=with_meter)
    complaints = tuple(_complaints(words.decode(errors="replace")))
    if code and _OLD_SCP.search("\n".join(complaints)):
        raise no_rsync("this machine", local_installer())
    transfer = Transfer(lost=not connection.is_open())
    if code:
        transfer.errors = complaints or (f"scp ended with status {code}",)
    return transfer


def _run_scp(argv: Sequence[str], words: bytearray, *, with_meter: bool) -> int:
    """Run scp with its meter on our stderr, if that is a terminal. Return its exit status."""
    meter = subprocess.DEVNULL
    if with_meter and os.isatty(_STDERR):
        meter = _STDERR
    with _running(argv, subprocess.DEVNULL, meter, subprocess.PIPE) as process:
        assert process.stderr  # noqa: S101 (a pipe, as requested)
        while chunk := process.stderr.read(_CHUNK):
            words += chunk
        return process.wait()


# --- from box to box -------------------------------------------------------------------------------------

#: Unpacks its input beside the folder, and puts it in place once it is complete.
_UNPACK = """set -e
new=$1.incoming
rm -rf "$new"
mkdir -p "$new"
tar -xf - -C "$new"
rmdir "$1" 2>/dev/null || true
mv -T "$new" "$1"
"""


def relay(source: Connection, folder: str, target: Connection, new_folder: str) -> None:
    """Copy a folder of a box to another box, through this machine. It must be missing there, or empty.

    BootstrapError `copy-failed` if that failed: then it is not there.
    """
    pack = f"echo {CONNECTED}; cd {quoted(folder)} && exec tar -cf - ."
    unpack = f"set -- {quoted(new_folder)}\n{_UNPACK}"
    read_argv = source.ssh(source.alias, in_bash(pack))
    write_argv = target.ssh(target.alias, in_bash(unpack))
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as others:
        with (
            _running(write_argv, subprocess.PIPE, subprocess.DEVNULL, others) as writer,
            _running(read_argv, subprocess.DEVNULL, subprocess.PIPE, words) as reader,
        ):
            _pump(reader, writer)
            failed = reader.wait() or writer.wait()
        if failed:
            complaints = [*_complaints(_text(words)), *_complaints(_text(others)), f"ssh ended with status {failed}"]
            raise BootstrapError(
                f"{folder} of {source.alias} was not copied to {target.alias}: {complaints[0]}", code="copy-failed"
            )


def _pump(reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes]) -> None:
    """Pass on what the first one prints after its mark to the other one, as long as both go on."""
    assert reader.stdout  # noqa: S101 (a pipe, as requested)
    assert writer.stdin  # noqa: S101 (the same)
    with contextlib.suppress(BrokenPipeError), writer.stdin as pipe:
        after_mark = AfterMark(pipe.write)
        while chunk := os.read(reader.stdout.fileno(), _CHUNK):
            after_mark.take(chunk)
    reader.stdout.close()


# --- both ------------------------------------------------------------------------------------------------


def no_rsync(place: str, install: str) -> BootstrapError:
    """Return the error for a side that has no rsync."""
    return BootstrapError(f"rsync is not installed on {place}.", hint=f"Install it: {install}", code="no-rsync")


def local_installer() -> str:
    """Return the command that installs rsync on this machine."""
    if shutil.which("brew"):
        return "brew install rsync"
    if shutil.which("dnf"):
        return "sudo dnf install -y rsync"
    return "sudo apt-get install -y rsync"


def _failed(program: str, transfer: Transfer, alias: str) -> BootstrapError:
    """Return the error for a transfer of which nothing was done."""
    cause = transfer.errors[0]
    if transfer.lost:
        return SshError(f"The connection to {alias} broke: {cause}", code="ssh-lost")
    return BootstrapError(f"{program} failed: {cause}", code="copy-failed")


def _complaints(words: str) -> Iterator[str]:
    """Yield the lines of an error output that name a cause, not those that repeat the exit status."""
    for line in words.splitlines():
        if line.strip() and not line.startswith("rsync error:"):
            yield line.strip().removeprefix("rsync: ")


@contextlib.contextmanager
def _running(
    argv: Sequence[str], source: IO[bytes] | int, output: IO[bytes] | int, words: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the running program, in a process group of its own; an interrupt ends all of the group."""
    environ = {**os.environ, "LC_ALL": "C"}  # rsync writes its numbers as the locale does
    with subprocess.Popen(
        argv, stdin=source, stdout=output, stderr=words, env=environ, start_new_session=True
    ) as process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise


def _followed(argv: Sequence[str], stdin: bytes, take: Callable[[bytes], None]) -> tuple[int, str]:
    """Run a program, its output passed on as it comes. Return its exit status and its error output."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as words:
        source.write(stdin)
        source.seek(0)
        with _running(argv, source, subprocess.PIPE, words) as process:
            return _read_all(process, take), _text(words)


def _read_all(process: subprocess.Popen[bytes], take: Callable[[bytes], None]) -> int:
    """Pass on what the program prints, until it ends. Return its exit status."""
    assert process.stdout  # noqa: S101 (a pipe, as requested)
    while chunk := os.read(process.stdout.fileno(), _CHUNK):
        take(chunk)
    take(b"\n")
    return process.wait()


def _text(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read().decode(errors="replace")
