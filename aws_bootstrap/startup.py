"""The process itself, from its first moment on: how it handles signals, and its standard streams.

SIGINT, SIGTERM and SIGHUP end a command with a report of what exists, whenever they come: before the program is loaded
they are noted, later they raise, and once the report has begun they are ignored. This module is imported before all
others and imports next to nothing, not even typing or contextlib, so that it is in place for a Ctrl-C during start-up.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    # No `type` statement: the payload's tests import this package by an older Python.
    Handler = Callable[[int, FrameType | None], object] | int | None

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Python looks for garbage after 700 new objects. What is loaded is none: looking at it takes a tenth of a start, and a
#: sixth of the time until boto3's clients exist.
_OBJECTS_TO_COLLECT = 200_000

_is_program = False
_noted: int | None = None
#: Returns what a signal raises; None as long as signals are only noted.
_make_interrupt: Callable[[int], BaseException] | None = None


def is_program(argument_zero: str) -> bool:
    """Return whether this process was started as the command itself, by the script of that name."""
    return os.path.basename(argument_zero) == "aws-bootstrap"


def begin() -> None:
    """Take over signals and standard streams of this process. For the program alone, never for code that imports it."""
    global _is_program
    _is_program = True
    _install()
    gc.set_threshold(_OBJECTS_TO_COLLECT)
    _reserve_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # A terminal that cannot show a character must not end a command: it gets an escape instead.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


class watched:
    """A block in which this module handles signals. The handlers before are restored at its end, but in the program."""

    def __enter__(self) -> None:
        self._before: dict[int, Handler] = {} if _is_program else _install()

    def __exit__(self, *_: object) -> None:
        global _make_interrupt
        _make_interrupt = None
        for number, handler in self._before.items():
            signal.signal(number, handler)


def raise_signals(make: Callable[[int], BaseException]) -> None:
    """Raise what `make` returns for a signal's number, from the next signal on; at once, if one came before."""
    global _make_interrupt, _noted
    _make_interrupt = make
    if _noted is not None:
        number, _noted = _noted, None
        _interrupt(number)


def ignore_signals() -> None:
    """Ignore signals from now on: none may interrupt the report of what exists."""
    for number in _SIGNALS:
        _set(number, signal.SIG_IGN)


def _install() -> dict[int, Handler]:
    """Handle the signals; return the handlers before. A SIGHUP that is ignored stays ignored: somebody used nohup."""
    before: dict[int, Handler] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        is_nohup = number == signal.SIGHUP and handler is signal.SIG_IGN
        if not is_nohup and _set(number, _handle):
            before[number] = handler
    return before


def _set(number: int, handler: Handler) -> bool:
    """Set the handler; return whether it was set. Only the main thread can, and no signal interrupts another."""
    try:
        signal.signal(number, handler)
    except ValueError:
        return False
    return True


def _handle(number: int, _: FrameType | None) -> None:
    global _noted
    if _make_interrupt is not None:
        _interrupt(number)
    elif _noted is None:
        _noted = number
    else:  # a second one while the program is still being loaded: it hangs
        os.write(2, b"Interrupted.\n")
        os._exit(128 + number)


def _interrupt(number: int) -> NoReturn:
    assert _make_interrupt  # noqa: S101 (set before any handler is)
    ignore_signals()
    raise _make_interrupt(number)


def _reserve_closed_streams() -> None:
    """Keep files and sockets from getting the number of a closed standard stream: what is printed would go there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
