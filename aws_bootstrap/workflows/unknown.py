"""Unknown outcomes: what became of a call that creates or ends something and whose answer never came.

Such a call may have taken effect, or do so seconds later. Nothing is said about what exists before it was looked up
here, by what shows its effect: client token, tag, name or id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..aws import together
from ..errors import AwsError, BootstrapError, TransientError
from ..retry import poll


@dataclass(frozen=True)
class Lookup[T]:
    """What a look found, and whether AWS could be asked. Without an answer the outcome stays unknown."""

    found: T | None
    answered: bool

    @property
    def unknown(self) -> bool:
        """Whether the call may have taken effect without showing."""
        return self.found is None and not self.answered


def is_unknown(error: BaseException) -> bool:
    """Whether the call that raised this may have taken effect all the same.

    It may where no answer came (a lost connection, an interrupt), where AWS answered that it failed within (HTTP 500),
    and where the answer could not be read. It did not where AWS refused.
    """
    if isinstance(error, AwsError):
        return not error.answered or isinstance(error, TransientError)
    return not isinstance(error, BootstrapError)


def look_up[T](look: Callable[[], T | None], seconds: float) -> Lookup[T]:
    """Ask `look` for the effect of a call until it shows, for so many seconds: it may come after the call broke.

    `look` returns what the call made or ended, None while nothing shows. A look whose answer is lost is repeated.
    Where the last one fails, the outcome stays unknown.
    """
    last_look_failed = False

    def attempt() -> Lookup[T] | None:
        nonlocal last_look_failed
        try:
            found = look()
        except TransientError:
            last_look_failed = True
            return None
        except Exception:  # a refusal, or an answer that cannot be read: asking again would not help
            return Lookup(None, answered=False)
        last_look_failed = False
        return None if found is None else Lookup(found, answered=True)

    lookup = poll(attempt, timeout=seconds, every=1.0)
    return lookup or Lookup(None, answered=not last_look_failed)


class Unanswered:
    """The calls of a command that are under way, or whose answer never came, each with what looks it up."""

    def __init__(self) -> None:
        self._looks: dict[str, Callable[[], Any | None]] = {}

    @contextmanager
    def asked(self, what: str, look: Callable[[], Any | None]) -> Iterator[None]:
        """Send a call inside the block, and note there what it answered.

        The call counts as under way until the block is left with an answer. `look` finds and notes what it did.
        """
        self._looks[what] = look
        try:
            yield
        except BaseException as exc:
            if not is_unknown(exc):
                self._looks.pop(what, None)
            raise
        self._looks.pop(what, None)

    def settle(self, seconds: float) -> tuple[str, ...]:
        """Look all of them up, at the same time; return those whose outcome is still unknown."""
        looks = dict(self._looks)
        lookups = together(*(partial(look_up, look, seconds) for look in looks.values()))
        return tuple(what for what, lookup in zip(looks, lookups, strict=True) if lookup.unknown)
