"""A terminal as its user sees it, and the program that runs there: pyte follows what is written."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyte

_ROWS = 40


class Terminal(io.StringIO):
    """A terminal of so many columns and rows, with all that has scrolled away."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.screen.set_mode(pyte.modes.LNM)  # as the line discipline of a real one does
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        """Show the text."""
        self._stream.feed(text)
        return super().write(text)

    def rows(self) -> Iterator[Mapping[int, Any]]:
        """Yield each row: pyte's characters, with colour and weight, by their column."""
        yield from self.screen.history.top
        for number in range(self.screen.lines):
            yield self.screen.buffer[number]

    @property
    def lines(self) -> list[str]:
        """Return the rows that have text."""
        found: list[str] = []
        for row in self.rows():
            text = "".join([row[column].data for column in range(self.screen.columns)]).rstrip()
            if text:
                found.append(text)
        return found


def run_at_terminal(
    words: Sequence[str], env: Mapping[str, str], *, columns: int = 80, interrupt_at: str | None = None
) -> tuple[int, Terminal]:
    """Return exit code and terminal of the program, which has that terminal for all its streams.

    `interrupt_at`: a pattern; when the terminal shows it, Ctrl-C is typed once.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    argv = [sys.executable, "-m", "aws_bootstrap", *words]
    terminal = Terminal(columns, _ROWS)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": env.get("TERM", "xterm-256color")},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (Ctrl-C needs a controlling terminal)
    ) as process:
        os.close(theirs)
        with open(ours, "r+b", buffering=0) as keyboard, contextlib.suppress(OSError):  # EIO once the program has ended
            while data := keyboard.read(65536):
                terminal.write(decoder.decode(data))
                if interrupt_at and re.search(interrupt_at, "\n".join(terminal.lines)):
                    keyboard.write(b"\x03")
                    interrupt_at = None
    return process.returncode, terminal
