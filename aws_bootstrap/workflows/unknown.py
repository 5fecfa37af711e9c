"""Unknown outcomes: what became of a call that creates or ends something and whose answer never came.

Such a call may have taken effect, or do so seconds later. Nothing is said about what exists before it was looked up
here, by what shows its effect: client token, tag, name or id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .. import output
from ..errors import AwsError, BootstrapError, TransientError
from ..parallel import run_parallel
from ..retry import poll

#: For how long the last look may take: a region that hangs must not hold back what is known.
LAST_LOOK_SECONDS = 8.0


@dataclass(frozen=True)
class Lookup[T]:
    """What a look found, and whether AWS answered it. Without an answer the outcome stays unknown."""

    found: T | None
    answered: bool

    @property
    def unknown(self) -> bool:
        """Return whether the call may have taken effect without showing."""
        return self.found is None and not self.answered


def is_unknown(error: BaseException) -> bool:
    """Return whether the call that raised this may have taken effect all the same.

    It may where no answer came (a lost connection, an interrupt), where AWS answered that it failed within (HTTP 500),
    and where the answer could not be read. It did not where AWS refused.
    """
    if isinstance(error, AwsError):
        return not error.outcome_known or isinstance(error, TransientError)
    return not isinstance(error, BootstrapError)


def look_up[T](look: Callable[[], T | None], seconds: float, last_look: float = LAST_LOOK_SECONDS) -> Lookup[T]:
    """Look for the effect of a call until it shows, for so many seconds: it may come after the call broke.

    `look` returns what the call created or ended, None while nothing shows. A look whose answer is lost is repeated.
    Where the last one fails, or takes longer than `last_look` seconds more, the outcome stays unknown.
    """
    answers: SimpleQueue[Lookup[T]] = SimpleQueue()

    def ask() -> None:
        answers.put(_look_until_it_shows(look, seconds))

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds + last_look)
    except Empty:
        return Lookup(None, answered=False)


def _look_until_it_shows[T](look: Callable[[], T | None], seconds: float) -> Lookup[T]:
    """Return what `look` finds within so many seconds, in its last answer at the latest."""
    last_look_failed = False

    def attempt() -> Lookup[T] | None:
        nonlocal last_look_failed
        try:
            found = look()
        except TransientError:
            last_look_failed = True
            return None
        except Exception:  # a refusal, or an answer that cannot be read: a repetition would not help
            return Lookup(None, answered=False)
        last_look_failed = False
        if found is None:
            return None
        return Lookup(found, answered=True)

    lookup = poll(attempt, timeout=seconds, every=1.0)
    if lookup:
        return lookup
    return Lookup(None, answered=not last_look_failed)


@dataclass(frozen=True)
class _UnderWay[T]:
    """A call that is under way: what finds its effect, and what records it."""

    look: Callable[[], T | None]
    note: Callable[[T], None]


class Calls:
    """The calls of a command that create or end something: sent, noted, and looked up where no answer came.

    Each has a name that says what is created or ended ("the data volume"), a `look` that finds its effect, and a `note`
    that records its effect: the answer, or what the look found.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._under_way: dict[str, _UnderWay[Any]] = {}
        self._closed = False
        #: The names of the calls whose outcome is not known though they were looked up.
        self.unknown: list[str] = []

    def make[T](
        self, name: str, call: Callable[[], T], *, look: Callable[[], T | None], note: Callable[[T], None]
    ) -> T:
        """Make the call and note its effect; return that. Where no answer comes, it is what `look` finds.

        Raises the call's error where it was refused, or where nothing is found. A call that is interrupted stays
        under way, for `settle`.
        """
        self._under_way[name] = _UnderWay(look, note)
        if self._closed:
            raise BootstrapError("Interrupted: no further calls are sent.", code="interrupted")
        try:
            done = self._outcome(name, call, look)
            note(done)
        except Exception:
            self._under_way.pop(name, None)
            raise
        self._under_way.pop(name, None)
        return done

    def _outcome[T](self, name: str, call: Callable[[], T], look: Callable[[], T | None]) -> T:
        """Return the call's answer, or what `look` finds where none came. Raise the call's error otherwise."""
        try:
            return call()
        except Exception as exc:
            if not is_unknown(exc):
                raise
            _report_look(name)
            lookup = look_up(look, self._seconds)
            if lookup.found is not None:
                return lookup.found
            if lookup.unknown:
                self.unknown.append(name)
            raise

    def settle(self) -> None:
        """Look up the calls still under way, and refuse any further ones: after an interrupt or an error."""
        self._closed = True
        under_way = self._under_way.copy()
        lookups: list[Callable[[], None]] = []
        for name, call in under_way.items():
            lookups.append(partial(self._settle, name, call))
        run_parallel(lookups)

    def _settle[T](self, name: str, call: _UnderWay[T]) -> None:
        """Look up one call that is still under way; note what is found, or that its outcome is not known."""
        _report_look(name)
        lookup = look_up(call.look, self._seconds)
        if lookup.found is not None:
            call.note(lookup.found)
        if lookup.unknown and name not in self.unknown:
            self.unknown.append(name)


def note_nothing(_: object) -> None:
    """Note nothing: for a call whose effect no report shows."""


def _report_look(name: str) -> None:
    output.info(f"Looking up what became of {name}")
