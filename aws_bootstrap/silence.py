"""Which requests to AWS wait for an answer, and for how long, so that a silent region is not waited for.

Only a request that has no answer counts, and only the time in which no other region's answer came either. So a large
account, which takes long page by page, is not silent; nor is a region that throttles, or a machine that is busy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient


class Silence:
    """The unanswered requests of this process: a thread waits for one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: The region that each thread waits for, by the thread's identifier.
        self._waiting: dict[int, str] = {}
        #: When a request was sent or answered, in any region.
        self._last_event = clock()
        self._lock = threading.Lock()

    def watch(self, client: BaseClient) -> None:
        """Follow the requests of a boto3 client from now on."""
        region = client.meta.region_name

        def sent(**_: object) -> None:
            with self._lock:
                if threading.get_ident() not in self._waiting:  # a repeated attempt does not end the silence
                    self._waiting[threading.get_ident()] = region
                    self._last_event = self._clock()

        def received(response_dict: object = None, **_: object) -> None:
            if response_dict is not None:  # None: the connection broke
                self._answered()

        def ended(**_: object) -> None:
            self._answered()

        events = client.meta.events
        events.register_first("before-send", sent)
        events.register("response-received", received)
        events.register("after-call", ended)
        events.register("after-call-error", ended)

    def seconds(self, region: str) -> float:
        """Return for how long the region has owed an answer while nothing came from any other; 0 if it owes none."""
        with self._lock:
            if region not in self._waiting.values():
                return 0.0
            return self._clock() - self._last_event

    def _answered(self) -> None:
        """Note that the request of this thread has its answer."""
        with self._lock:
            if self._waiting.pop(threading.get_ident(), None) is not None:
                self._last_event = self._clock()


SILENCE = Silence()

_listener: Callable[[str], None] | None = None


def report_to(listener: Callable[[str], None]) -> None:
    """Call `listener` with a message whenever a region is given up."""
    global _listener
    _listener = listener


def report(message: str) -> None:
    """Hand the message to the listener at once."""
    if _listener is not None:
        _listener(message)
