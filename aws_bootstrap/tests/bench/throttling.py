"""EC2's token buckets: so many calls of an action at once, and so many a second from then on.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html, as read in 2026. They are an account's, in one
region.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .aws_answers import Call, Refused


class Bucket(NamedTuple):
    """How many tokens a bucket holds, and how many come back a second."""

    size: float
    refill: float


_READING = Bucket(100, 20)
_READING_ALL = Bucket(50, 10)
_CHANGING = Bucket(50, 5)
#: The actions with a bucket of their own size.
BUCKETS = {
    "CreateTags": Bucket(100, 10),
    "DeleteTags": Bucket(100, 10),
    "CreateVolume": Bucket(100, 5),
    "DeleteVolume": Bucket(100, 5),
    "RunInstances": Bucket(5, 2),
    "TerminateInstances": Bucket(100, 5),
}
#: Those that read from a smaller bucket where neither a filter nor a page is named.
_SMALLER_WITHOUT_FILTER = ("DescribeInstances", "DescribeVolumes", "DescribeSecurityGroups")


class Throttle:
    """The buckets, as the calls so far have left them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[tuple[str, str, Bucket], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, call: Call) -> None:
        """Take a token for a call to EC2. Refused `RequestLimitExceeded` if there is none."""
        bucket = _bucket(call)
        if bucket is None:
            return
        now = self._clock()
        key = (call.region, call.action, bucket)
        with self._lock:
            left, since = self._left.get(key, (bucket.size, now))
            left = min(bucket.size, left + (now - since) * bucket.refill)
            self._left[key] = (max(left - 1, left % 1), now)
        if left < 1:
            raise Refused("RequestLimitExceeded", "Request limit exceeded.", status=503)

    def reset(self) -> None:
        """Fill all buckets."""
        with self._lock:
            self._left.clear()


def _bucket(call: Call) -> Bucket | None:
    """Return the bucket that the call takes a token from."""
    own = BUCKETS.get(call.action)
    if own or call.is_json or call.action == "GetCallerIdentity":
        return own
    if not call.action.startswith("Describe"):
        return _CHANGING
    is_narrow = any(name.startswith(("Filter.", "MaxResults")) for name in call.parameters)
    if call.action in _SMALLER_WITHOUT_FILTER and not is_narrow:
        return _READING_ALL
    return _READING
