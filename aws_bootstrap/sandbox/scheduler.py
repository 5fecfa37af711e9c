"""Delayed calls, run by one thread: EC2's state changes take time, and a thousand timers would need as many threads."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Scheduler:
    """Runs functions when they are due, one after another, under the lock that guards the sandbox's state."""

    def __init__(self, lock: threading.RLock, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._on_change = changed
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in so many seconds, always in the scheduler's thread, even for 0."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + max(seconds, 0), next(self._order), action))
            self._changed.notify()

    def clear(self) -> None:
        """Drop the functions that are not yet due."""
        with self._changed:
            self._due.clear()

    def stop(self) -> None:
        """Stop the thread; functions that are not yet due are dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                with self._lock:
                    action()
                self._on_change()
            except Exception:
                _LOG.exception("a scheduled change failed")

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next function that is due and return it; None once stopped."""
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None
