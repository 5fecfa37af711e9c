"""The terminal: the only place that writes to stdout and stderr, and that reads an answer from stdin.

Results go to stdout, everything else to stderr. What is written has the marks of printed commands filled in, and no
secret in it. One command has one console, which its threads share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from .invocation import MARKS, Invocation

if TYPE_CHECKING:
    from .live_steps import LiveStep, LiveSteps, Outcome
    from .models import Notice

#: How often a wait for the user looks for signals.
_SIGNAL_CHECK_SECONDS = 0.2


class OutputFormat(StrEnum):
    """How a result is shown."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    TABLE = "table"


class Heartbeat:
    """Says when a line is due in a log: at once, then once every so many seconds."""

    def __init__(self, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._last: float | None = None

    def is_due(self) -> bool:
        """Return whether it is time for a line; if so, the next one is due after the whole time."""
        now = self._clock()
        if self._last is not None and now - self._last < self._every:
            return False
        self._last = now
        return True


class Console:
    """Where one command is shown, and what was shown so far."""

    def __init__(
        self, output_format: OutputFormat = OutputFormat.TEXT, invocation: Callable[[], Invocation] = Invocation
    ) -> None:
        self.output_format = output_format
        #: Called at each write: the profile is known only once the command line is parsed.
        self.invocation = invocation
        #: Called at each write: AWS's answers may repeat the session token.
        self.secrets: Callable[[], tuple[str, ...]] = tuple
        #: The warnings so far: every result carries them.
        self.warnings: list[Notice] = []
        #: Whether stdout has its document: a signal that comes now must not add a second one.
        self.has_document = False
        self._live_line = ""
        #: Threads write whole lines of several boxes.
        self._one_at_a_time = threading.Lock()
        #: The running steps at a terminal; None until the first one begins.
        self._steps: LiveSteps | None = None
        #: For a stderr that keeps every line: a log shows that something goes on, not every second of it.
        self._heartbeat = Heartbeat(60.0)

    def begin(self, output_format: OutputFormat) -> None:
        """Show results in this format from now on, beginning with the first."""
        self.output_format = output_format
        self.has_document = False
        self.warnings.clear()

    @property
    def is_text(self) -> bool:
        """Return whether a person reads along."""
        return self.output_format is OutputFormat.TEXT

    # --- stdout ------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Write to stdout. An empty text is nothing, not an empty line. Raises OSError if it cannot be written."""
        if not text:
            return
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        self.end_steps()
        click.echo(_encodable(self._final(text)), color=_color())
        self.has_document = True

    def pass_on(self, data: bytes, *, err: bool = False) -> None:
        """Write what a box has sent to stdout or stderr, unchanged and at once. Raises OSError where it cannot."""
        stream = sys.stderr if err else sys.stdout
        if stream is None:
            raise OSError(errno.EBADF, "the stream is closed")
        with self._one_at_a_time:
            stream.flush()
            stream.buffer.write(data)
            stream.buffer.flush()

    def filled(self, value: Any) -> Any:
        """Return a document with the commands in its texts as this user types them."""
        return _filled(value, self.invocation())

    # --- stderr ------------------------------------------------------------------------------------------

    def note(self, text: str, *, nl: bool = True) -> None:
        """Write to stderr. A closed stderr must never end work in the account, so that is not an error."""
        final = self._final(text)
        with contextlib.suppress(OSError, ValueError):
            if self._steps is None or not self._steps.note(final):
                click.echo(final, err=True, nl=nl, color=_color())

    def begin_step(self, title: str) -> LiveStep | None:
        """Show a step as running, with its seconds; None where lines stay as they are: a pipe, a log, NO_COLOR."""
        if not self.is_text or not _is_live_terminal():
            return None
        if self._steps is None:
            from .live_steps import LiveSteps

            self._steps = LiveSteps(sys.stderr)
        return self._steps.begin(self._final(title))

    @contextlib.contextmanager
    def within_step(self, step: LiveStep | None) -> Iterator[None]:
        """Count what the block writes to the step, and show its outcome at the end."""
        if self._steps is None or step is None:
            yield
            return
        self._steps.enter(step)
        outcome: Outcome = "failed"
        try:
            yield
            outcome = "done"
        except KeyboardInterrupt:
            outcome = "stopped"
            raise
        finally:
            self._steps.end(step, outcome)

    def end_steps(self) -> None:
        """Show the running steps as stopped: the result or the error comes now."""
        if self._steps is not None:
            self._steps.end_all()

    def detail(self, text: str) -> None:
        """Write a line that belongs to the running step, below it."""
        if self._steps is None or not self._steps.add(self._final(text)):
            self.note(f"      {text}")

    def box_line(self, line: str) -> None:
        """Write a line of a setup on the box, which begins or ends a step there."""
        if self._steps is None or not self._steps.add_box_line(self._final(line)):
            self.note(f"      {line}")

    def live(self, text: str) -> None:
        """Show what is going on, in place of the last such line; empty ends it. A log gets a line a minute."""
        if not self.is_text or sys.stderr is None:
            return
        if self._steps is not None and self._steps.show_status(self._final(text)):
            return
        if not sys.stderr.isatty():
            if text and self._heartbeat.is_due():
                self.note(f"      {text}")
        elif text or self._live_line:
            from shutil import get_terminal_size

            width = get_terminal_size().columns - 1
            self.note("\r\x1b[K" + text[:width], nl=False)
            self._live_line = text

    # --- stdin -------------------------------------------------------------------------------------------

    def is_terminal(self) -> bool:
        """Return whether both standard input and standard output are a terminal."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stdout)

    def is_interactive(self) -> bool:
        """Return whether somebody can answer. Standard input may be closed."""
        return sys.stdin is not None and sys.stdin.isatty()

    def agrees(self, question: str) -> bool:
        """Return the answer at the terminal. Raises KeyboardInterrupt at Ctrl-D, as at Ctrl-C."""
        while True:
            answer = self._answer(f"{question} [y/N]: ")
            if not answer:
                raise KeyboardInterrupt  # Ctrl-D
            word = answer.strip().lower()
            if word in ("y", "yes"):
                return True
            if word in ("", "n", "no"):
                return False
            self.note("Answer y or n.")

    def chosen(self, question: str, options: Sequence[str]) -> int:
        """Return the position of the option that the user chooses by its number. KeyboardInterrupt at Ctrl-D."""
        for number, option in enumerate(options, 1):
            self.note(f"  {number}  {option}")
        while True:
            answer = self._answer(f"{question} [1-{len(options)}]: ")
            if not answer:
                raise KeyboardInterrupt  # Ctrl-D
            word = answer.strip()
            if word.isascii() and word.isdigit() and 1 <= int(word) <= len(options):
                return int(word) - 1
            self.note(f"Answer with a number from 1 to {len(options)}.")

    def _answer(self, question: str) -> str:
        """Return a line from the terminal, on which nothing else is drawn meanwhile."""
        if self._steps is not None:
            self._steps.pause()
        try:
            self.note(question, nl=False)
            return _read_line()
        finally:
            if self._steps is not None:
                self._steps.resume()

    def _final(self, text: str) -> str:
        """Return the text with its commands filled in and its secrets hidden."""
        text = self.invocation().fill(text)
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text


def fits_stdout(text: str) -> bool:
    """Return whether stdout's encoding knows every character of the text: a terminal of another age knows few."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def drop_stdout() -> None:
    """Redirect stdout, which nobody reads, so that the interpreter's own last flush does not complain."""
    if sys.stdout is None:
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_terminal(stream: Any) -> bool:
    """Return whether a standard stream is a terminal. It may be closed."""
    return stream is not None and bool(stream.isatty())


def _filled(value: Any, invocation: Invocation) -> Any:
    """Return the value with the commands in its texts filled in."""
    if isinstance(value, str):
        return invocation.fill(value)
    if isinstance(value, dict):
        return {key: _filled(item, invocation) for key, item in value.items()}
    if isinstance(value, list):
        return _filled_list(value, invocation)
    return value


def _filled_list(items: list[Any], invocation: Invocation) -> list[Any]:
    """Return the items, filled in. A mark that is an item becomes the words that it means."""
    filled: list[Any] = []
    for item in items:
        if item in MARKS:
            filled += invocation.words(item)
        else:
            filled.append(_filled(item, invocation))
    return filled


def _encodable(text: str) -> str:
    """Return the text with escapes for what stdout cannot encode."""
    if fits_stdout(text):
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_live_terminal() -> bool:
    """Return whether stderr is a terminal on which lines can be drawn again."""
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _color() -> bool | None:
    """Return False where NO_COLOR is set (https://no-color.org). None: Click looks whether it writes to a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return None


def _read_line() -> str:
    """Return a line from the terminal; empty at its end.

    It is read only once it is there: a signal that comes just before a read begins would be acted on after the read
    alone, however long nobody types. So this is not `click.confirm`.
    """
    import select

    while not select.select([sys.stdin], [], [], _SIGNAL_CHECK_SECONDS)[0]:
        pass
    return sys.stdin.readline()
