"""The call log: each AWS call, its time, its outcome, and how many calls were in flight when it began."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from .cloud.aws_call import AwsCall

#: How many calls are kept; the oldest are dropped first.
MAX_ENTRIES = 20_000


@dataclass
class Entry:
    """One call. `time` is in seconds since 1970; `seconds` and `status` are null while it is in flight."""

    time: float
    service: str
    region: str
    action: str
    parameters: dict[str, str]
    in_flight: int
    fault: dict[str, Any] | None = None
    status: int | None = None
    error: str | None = None
    seconds: float | None = None


class CallLog:
    """The last calls, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._in_flight = 0
        self._lock = threading.Lock()

    def begin(self, call: AwsCall) -> Entry:
        """Log a received call; return its entry, to be passed to `end`."""
        with self._lock:
            self._in_flight += 1
            entry = Entry(time.time(), call.service, call.region, call.action, call.parameters, self._in_flight)
            self._entries.append(entry)
            return entry

    def end(self, entry: Entry, status: int | None, error: str | None) -> None:
        """Log how the call ended; a status of None is a broken connection."""
        with self._lock:
            self._in_flight -= 1
            entry.status, entry.error = status, error
            entry.seconds = round(time.time() - entry.time, 6)

    def facts(self) -> list[dict[str, Any]]:
        """Return the calls as documents."""
        with self._lock:
            return [asdict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self._entries.clear()
