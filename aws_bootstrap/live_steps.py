"""The steps that run, at a terminal: one live line each, with its seconds, which folds to its outcome when it ends.

A step may have details, such as the instance that it launched, and steps of its own, such as those of a setup on the
box. They are below its line and stay there when it has ended. Drawing is rich's work; only this module loads it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.text import Text

type Outcome = Literal["running", "done", "warning", "failed", "stopped"]

#: The mark and the colour of each outcome.
_MARKS: dict[Outcome, tuple[str, str]] = {
    "running": ("…", "cyan"),
    "done": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "stopped": ("✗", "yellow"),
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND = 8
#: Under this, a step that has ended shows no time: it says nothing.
_SHOWN_SECONDS = 0.1

#: The step that this thread works on.
_current: ContextVar[LiveStep | None] = ContextVar("step", default=None)


@dataclass(eq=False)
class LiveStep:
    """A step as it is shown."""

    title: str
    began: float
    ended: float | None = None
    outcome: Outcome = "running"
    #: Behind the title: why it failed, what was found.
    remark: str = ""
    #: Lines below it, and steps of its own, in the order in which they came.
    details: list[str | LiveStep] = field(default_factory=list)
    #: The last detail, which the next one replaces.
    status: str = ""

    def end(self, outcome: Outcome, now: float, remark: str = "") -> None:
        """Note the outcome of the step, if it has none yet."""
        if self.ended is None:
            self.outcome = outcome
            self.ended = now
            self.remark = remark
            self.status = ""

    def children(self) -> Iterator[LiveStep]:
        """Yield its own steps."""
        for detail in self.details:
            if isinstance(detail, LiveStep):
                yield detail


class LiveSteps:
    """The steps of one command at a terminal. Its threads share it; everything else that is written goes through it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._running: list[LiveStep] = []
        self._live: Live | None = None

    # --- steps -------------------------------------------------------------------------------------------

    def begin(self, title: str) -> LiveStep:
        """Show a step as running from now on."""
        step = LiveStep(title, self._clock())
        with self._lock:
            self._running.append(step)
            self._start()
        return step

    def enter(self, step: LiveStep) -> None:
        """Count what this thread writes from now on to the step."""
        _current.set(step)

    def end(self, step: LiveStep, outcome: Outcome) -> None:
        """Fold the step: its line, with its outcome, stays where it is."""
        with self._lock:
            if step not in self._running:
                return  # an interrupt folded it already
            self._running.remove(step)
            _end(step, outcome, self._clock())
            self._print(_lines(step, self._clock()))
            if not self._running:
                self._stop()

    def end_all(self) -> None:
        """Fold every step that still runs: the command ends, or failed elsewhere."""
        with self._lock:
            for step in list(self._running):
                self.end(step, "stopped")

    # --- what is written meanwhile -----------------------------------------------------------------------

    def add(self, line: str) -> bool:
        """Add a line to the step of this thread. Return False if no step runs."""
        with self._lock:
            step = self._step()
            if step is None:
                return False
            step.details.append(line)
            return True

    def show_status(self, line: str) -> bool:
        """Show a line of the step of this thread until the next one. Return False if no step runs."""
        with self._lock:
            step = self._step()
            if step is None:
                return False
            step.status = line
            return True

    def add_box_line(self, line: str) -> bool:
        """Show a line of a setup on the box: `==> TITLE` begins a step there, `    TITLE: OUTCOME` ends it.

        Return False if no step runs here.
        """
        with self._lock:
            step = self._step()
            if step is None:
                return False
            if line.startswith("==> "):
                step.details.append(LiveStep(line.removeprefix("==> "), self._clock()))
                return True
            for child in step.children():
                outcome = line.strip().removeprefix(f"{child.title}: ")
                if child.ended is None and outcome != line.strip():
                    child.end(_box_outcome(outcome), self._clock(), outcome)
                    return True
            step.details.append(line.strip())
            return True

    def note(self, text: str) -> bool:
        """Write text above the running steps. Return False if none runs."""
        from rich.text import Text

        with self._lock:
            if self._live is None:
                return False
            self._print([Text.from_ansi(text)])
            return True

    # --- drawing -----------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take the running steps off the screen: somebody else writes there now."""
        with self._lock:
            self._stop()

    def resume(self) -> None:
        """Show the running steps again."""
        with self._lock:
            if self._running:
                self._start()

    def _step(self) -> LiveStep | None:
        """Return the running step of this thread; of a thread that belongs to none the one that began last."""
        current = _current.get()
        if current in self._running:
            return current
        if self._running:
            return self._running[-1]
        return None

    def _start(self) -> None:
        from rich.live import Live

        if self._live is None:
            self._live = Live(
                console=_rich_console(self._stream),
                get_renderable=self._block,
                refresh_per_second=_FRAMES_A_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _block(self) -> Text:
        """Return the running steps. Of more lines than the terminal has, the last ones: those that change."""
        now = self._clock()
        lines: list[Text] = []
        for step in list(self._running):
            lines += _lines(step, now)
        height = 24
        if self._live is not None:
            height = self._live.console.height
        return _joined(lines[-max(1, height - 1) :])

    def _print(self, lines: Iterable[Text]) -> None:
        """Write lines that stay, above the running steps."""
        if self._live is not None:
            for line in lines:
                self._live.console.print(line, soft_wrap=True)


def _rich_console(stream: TextIO) -> RichConsole:
    from rich.console import Console

    return Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)


def _end(step: LiveStep, outcome: Outcome, now: float) -> None:
    """Note the outcome of a step, and of those of its own that did not report theirs."""
    for child in step.children():
        child.end("stopped", now, "no outcome reported")
        if child.outcome == "failed":
            outcome = "failed"  # a failed setup is no error of the launch, but no success either
    step.end(outcome, now)


def _box_outcome(text: str) -> Outcome:
    """Return the outcome of a step on the box, as `run_steps.py` writes it."""
    if text.startswith("FAILED"):
        return "failed"
    if text.startswith(("WARNING", "warning", "skipped")):
        return "warning"
    return "done"


def _lines(step: LiveStep, now: float, indent: str = "") -> list[Text]:
    """Return the line of a step, and below it its details."""
    lines = [_line(step, now, indent)]
    for detail in step.details:
        if isinstance(detail, LiveStep):
            lines += _lines(detail, now, indent + "    ")
        else:
            lines.append(_plain(f"{indent}    {detail}"))
    if step.status:
        lines.append(_plain(f"{indent}    {step.status}", "dim"))
    return lines


def _line(step: LiveStep, now: float, indent: str) -> Text:
    """Return a step's line: mark, title, seconds, remark."""
    from rich.text import Text

    mark, colour = _MARKS[step.outcome]
    if step.ended is None:
        mark = _SPINNER[int(now * _FRAMES_A_SECOND) % len(_SPINNER)]
    seconds = (step.ended or now) - step.began
    line = Text(f"{indent}{mark} ", style=colour, no_wrap=True, overflow="ellipsis", end="")
    title_style = ""
    if step.outcome in ("failed", "stopped"):
        title_style = colour
    line.append(step.title, style=title_style)
    if step.remark:
        line.append(f": {step.remark}", style=title_style)
    elif seconds >= _SHOWN_SECONDS:
        line.append(f"  {_seconds(seconds)}", style="dim")
    return line


def _seconds(seconds: float) -> str:
    """Return a short duration: tenths of a second, or minutes and seconds."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _plain(text: str, style: str = "") -> Text:
    from rich.text import Text

    line = Text.from_ansi(text, no_wrap=True, overflow="ellipsis", end="")
    if style:
        line.stylize(style)
    return line


def _joined(lines: list[Text]) -> Text:
    from rich.text import Text

    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)
