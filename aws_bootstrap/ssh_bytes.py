"""What comes back from a box as bytes: output after a mark, lines with a prefix, and the frames of a log. Pure.

Output that a person sees passes through as it is. Nothing here decodes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .ssh_frame import CONNECTED, ENDED, in_bash

type Write = Callable[[bytes], object]

_BEGAN = re.compile(rb"%s\r?\n" % CONNECTED.encode())
_END = re.compile(rb"%s (\d+)\r?\n" % ENDED.encode())
#: A line without an end is written once it is so long, such as a progress bar that never ends its line.
_LONGEST_LINE = 64 * 1024
#: The longest header of a frame.
_LONGEST_HEADER = 1024 * 1024


def for_terminal(command: str) -> str:
    """Return a command for ssh that runs it in bash, and exits with its code after a signal too: 128 and its number."""
    return in_bash(f"trap : INT QUIT; (\n{command}\n)\nexit $?")


def marked(command: str, *, merged: bool) -> str:
    """Return a command for ssh with a mark before its output, and one on standard error with its exit code.

    `merged`: its standard error joins its output.
    """
    streams = " 2>&1" if merged else ""
    end = f"printf '%s %s\\n' {ENDED} $code >&2"
    return in_bash(f"echo {CONNECTED}; (\n{command}\n){streams}; code=$?; {end}; exit $code")


class AfterMark:
    """Output from its mark on. What precedes it is the login's."""

    def __init__(self, write: Write) -> None:
        self.began = False
        self._write = write
        self._before = b""

    def take(self, chunk: bytes) -> None:
        """Read the next bytes; an empty chunk is the end."""
        if self.began:
            self._write(chunk)
            return
        self._before += chunk
        mark = _BEGAN.search(self._before)
        if mark:
            self.began = True
            self._write(self._before[mark.end() :])
            self._before = b""


class Lines:
    """A stream as whole lines; its last one may lack its end."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Read the next bytes; an empty chunk is the end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._write(line + b"\n")
        if self._rest and (not chunk or len(self._rest) > _LONGEST_LINE):
            self._write(self._rest)
            self._rest = b""


class Errors:
    """The lines of a command's standard error, without the mark that has its exit code."""

    def __init__(self, write: Write) -> None:
        self.exit_code: int | None = None
        self._write = write

    def take(self, line: bytes) -> None:
        """Read a line."""
        mark = _END.search(line)
        if mark is None:
            self._write(line)
            return
        self.exit_code = int(mark[1])
        if mark.start():
            self._write(line[: mark.start()])


class Prefixed:
    """Lines with the name of their box before them, in a column of so many characters, each with its end."""

    def __init__(self, name: str, write: Write, width: int = 0) -> None:
        self._prefix = f"{name}: ".ljust(width + 2).encode()
        self._write = write

    def take(self, line: bytes) -> None:
        """Write a line."""
        self._write(self._prefix + line.removesuffix(b"\n") + b"\n")


class Frames:
    """What resources/runs.py sends: lines of JSON, each followed by as many bytes as its `size` says.

    The other keys are kept: `id` and `offset` of the log, `end` (its run, when the log is complete), `error`.
    """

    def __init__(self, write: Write) -> None:
        self.known: dict[str, Any] = {}
        self.offset = 0
        self._write = write
        self._rest = b""
        self._left = 0

    def take(self, chunk: bytes) -> None:
        """Read the next bytes. ValueError if they are no frames."""
        self._rest += chunk
        while self._rest:
            if self._left:
                self._take_data()
                continue
            header, has_end, rest = self._rest.partition(b"\n")
            if not has_end:
                if len(header) > _LONGEST_HEADER:
                    raise ValueError("no frame")
                return
            self._rest = rest
            self._read(json.loads(header))

    def forget(self) -> None:
        """Drop the half of a frame that a broken connection left."""
        self._rest = b""
        self._left = 0

    def _read(self, header: dict[str, Any]) -> None:
        self._left = header.pop("size", 0)
        self.known |= header
        self.offset = header.get("offset", self.offset)

    def _take_data(self) -> None:
        data = self._rest[: self._left]
        self._rest = self._rest[self._left :]
        self._left -= len(data)
        self.offset += len(data)
        self._write(data)
