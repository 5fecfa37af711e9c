"""What is sent through ssh and what comes back: a command between two marks, and the readers of its streams. Pure.

Whatever the account's shell and its rc files are, the command runs in a bash of its own, and only what is between the
marks is its output. No output of a box can fill this machine's memory.
"""

from __future__ import annotations

import codecs
import shlex
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: The line that begins a command's output: what precedes it is the login's, ssh's or an rc file's.
CONNECTED = "@aws-bootstrap-connected"

#: Begins the line after the output, which gives the exit code. Without it the connection broke.
ENDED = "@aws-bootstrap-ended"

#: Of a command's output: the end of it, which holds the report. A report takes some kilobytes.
_KEPT_BYTES = 8 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Remote:
    """What a remote command printed and how it ended."""

    exit_code: int
    lines: tuple[str, ...]


def framed(command: str) -> str:
    """Return the command between its marks, in a bash of its own, whatever the account's shell and its rc files are.

    `--norc`: bash would read ~/.bashrc a second time, as it does for every command that sshd starts.
    """
    end = f"printf '\\n%s %s\\n' {ENDED} $code"
    script = f"echo {CONNECTED}; (\n{command}\n); code=$?; {end}; exit $code"
    return in_bash(script)


def in_bash(script: str) -> str:
    """Return one command that bash, zsh, dash, fish and tcsh read alike: it runs the script in bash, without rc files.

    Even between single quotes a line end, `!` (tcsh), a backslash (fish) and a quote mean something else in each of
    them. They are sent as octal numbers, which printf on the box turns back.
    """
    for character in "\\\n!'":
        script = script.replace(character, f"\\0{ord(character):03o}")
    # Bash reads the file that BASH_ENV names, whatever --norc says: a `set -e` there would end the frame.
    return f"exec env -u BASH_ENV bash --norc -c 'eval \"$(printf %b \"$1\")\"' bash '{script}'"


def wrapped(script: str) -> str:
    """Return a remote command whose standard error joins its output, so that it is not taken for ssh's own messages."""
    return f"{{ {script}; }} 2>&1"


def quoted(*words: str) -> str:
    """Return the words as one shell command."""
    return shlex.join(words)


class Tail:
    """The last bytes of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()
        self._taken = 0

    @property
    def is_truncated(self) -> bool:
        """Return whether the beginning was dropped."""
        return self._taken > self._size

    def take(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self._bytes += chunk
        self._taken += len(chunk)
        if len(self._bytes) > 2 * self._size:
            del self._bytes[: -self._size]

    def text(self) -> str:
        """Return what was kept."""
        return self._bytes[-self._size :].decode("utf-8", "replace")


class Output:
    """A command's output, line by line as it comes; its end is kept."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.began = False
        self.exit_code: int | None = None
        #: The last line before the command began.
        self.noise = ""
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._lines: deque[str] = deque()
        self._size = 0

    def take(self, chunk: bytes) -> None:
        """Read the next bytes; an empty chunk is the end."""
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        *lines, self._rest = text.split("\n")
        for line in lines:
            self._read(line.removesuffix("\r"))
        if self._rest and (not chunk or len(self._rest) > _LONGEST_LINE):
            self._read(self._rest)
            self._rest = ""

    def lines(self) -> tuple[str, ...]:
        """Return what was kept, without the empty line before the mark of the end."""
        kept = list(self._lines)
        if kept and not kept[-1]:
            kept.pop()
        return tuple(kept)

    def _read(self, line: str) -> None:
        """Classify a line: noise of the login, a mark, or output."""
        if not self.began:
            # An rc file's last line may lack its end.
            self.began = line.endswith(CONNECTED)
            self.noise = line.strip() or self.noise
            return
        mark, _, code = line.partition(" ")
        if mark == ENDED and code.isdecimal():
            self.exit_code = int(code)
            return
        self._keep(line)
        self._on_line(line)

    def _keep(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > _KEPT_BYTES:
            self._size -= len(self._lines.popleft()) + 1
