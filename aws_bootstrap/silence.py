"""Which requests to AWS wait for an answer, and for how long: a region that falls silent is not waited for.

Only a request that has no answer counts, and only the time in which no other region's answer came either. So a large
account, which takes long page by page, is not silent; nor is a region that throttles, or a machine that is busy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Silence:
    """The unanswered requests of this process, by region and operation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: set[tuple[str, str]] = set()
        self._last_event = clock()
        """When a request was sent or answered, in any region."""
        self._lock = threading.Lock()

    def watch(self, client: Any) -> None:
        """Follow the requests of a boto3 client from now on."""
        region = client.meta.region_name

        def sent(event_name: str, **_: Any) -> None:
            request = (region, _operation(event_name))
            with self._lock:
                if request not in self._sent:  # an attempt that is repeated does not end the silence
                    self._sent.add(request)
                    self._last_event = self._clock()

        def received(event_name: str, response_dict: Any = None, **_: Any) -> None:
            if response_dict is not None:
                self._answered(region, event_name)

        def ended(event_name: str, **_: Any) -> None:
            self._answered(region, event_name)

        events = client.meta.events
        events.register_first("before-send", sent)
        events.register("response-received", received)
        events.register("after-call", ended)
        events.register("after-call-error", ended)

    def seconds(self, region: str) -> float:
        """For how long the region has owed an answer while nothing came from any other; 0 if it owes none."""
        with self._lock:
            owes = any(where == region for where, _ in self._sent)
            return self._clock() - self._last_event if owes else 0.0

    def _answered(self, region: str, event_name: str) -> None:
        with self._lock:
            request = (region, _operation(event_name))
            if request in self._sent:
                self._sent.remove(request)
                self._last_event = self._clock()


def _operation(event_name: str) -> str:
    """`DescribeInstances` of `before-send.ec2.DescribeInstances`."""
    return event_name.rpartition(".")[2]


SILENCE = Silence()

_listener: Callable[[str], None] | None = None


def tell_by(listener: Callable[[str], None]) -> None:
    """Have `listener` told when a region is given up."""
    global _listener
    _listener = listener


def tell(message: str) -> None:
    """Tell a person at once."""
    if _listener is not None:
        _listener(message)
