"""Fault injection: rules that match calls, and the effect on a matching call. Pure but for the counting.

A rule is `{"match": {...}, "skip": n, "times": n, "do": {...}}`. `match` compares `service`, `action`,
`region` and any request parameter (`InstanceMarketOptions.MarketType`) with a regular expression that must
match in full; a parameter that the call lacks is the empty string. `skip` leaves the first n matching calls alone,
`times` limits how many are affected (absent: all). `do` is one or more of

    error        an AWS error code, in the service's own format (with `message`, `status`)
    http         a bare HTTP status (with `body`), as from a failing load balancer
    delay        seconds to wait before anything else
    reset        true: the connection breaks before the call takes effect
    reset_after  true: the call takes effect, then the connection breaks: a lost response
    hold         true: the call waits until it is released, then takes effect and gets its response
    silent       true: the call takes effect, and no response is sent (until the faults are cleared)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

EFFECTS = frozenset({"error", "message", "status", "http", "body", "delay", "reset", "reset_after", "hold", "silent"})
#: How long a call is held at most.
HOLD_SECONDS = 300.0
_FIELDS = frozenset({"match", "skip", "times", "do"})
# HTTP statuses that AWS sends with a code, where it is not 400. Missing capacity is a 500:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#api-error-codes-table-server
STATUS_OF_CODE = {
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InsufficientReservedInstanceCapacity": 500,
    "InsufficientAddressCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AuthFailure": 401,
    "ExpiredToken": 403,
}


class BadRule(ValueError):
    """An invalid fault rule; the message says what is wrong with it."""


@dataclass
class Rule:
    """One fault, and how often it has matched."""

    match: dict[str, str]
    do: dict[str, Any]
    skip: int = 0
    times: int | None = None
    seen: int = 0
    patterns: dict[str, re.Pattern[str]] = field(default_factory=dict, repr=False)

    def applies(self, call: Mapping[str, str]) -> bool:
        """Return whether the rule affects this call; count the call if it matches."""
        for name, pattern in self.patterns.items():
            if not pattern.fullmatch(call.get(name, "")):
                return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        return self.times is None or self.seen <= self.skip + self.times

    def facts(self) -> dict[str, Any]:
        """Return the rule as it was added, and how many calls it affected."""
        hits = max(self.seen - self.skip, 0)
        if self.times is not None:
            hits = min(hits, self.times)
        return {"match": self.match, "do": self.do, "skip": self.skip, "times": self.times, "hits": hits}


def parse(raw: Any) -> Rule:
    """Return the rule that `raw` describes; raise BadRule with the reason if it is invalid."""
    if not isinstance(raw, dict) or not isinstance(raw.get("do"), dict) or not raw["do"]:
        raise BadRule('a rule is an object with at least "do"')
    unknown = sorted((set(raw) - _FIELDS) | (set(raw["do"]) - EFFECTS))
    if unknown:
        raise BadRule(f"unknown keys in the rule: {', '.join(unknown)}")
    match = {name: str(value) for name, value in raw.get("match", {}).items()}
    try:
        patterns = {name: re.compile(value, re.DOTALL) for name, value in match.items()}
    except re.error as error:
        raise BadRule(f"not a regular expression: {error}") from error
    return Rule(match, raw["do"], raw.get("skip", 0), raw.get("times"), patterns=patterns)


class Faults:
    """The active rules. The first one that applies to a call decides."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._held = 0
        self._releases = 0

    def add(self, raw: Iterable[Any]) -> None:
        """Add rules after the existing ones; none of them if one is invalid."""
        rules = [parse(one) for one in raw]
        with self._lock:
            self._rules += rules

    def clear(self) -> None:
        """Remove every rule, and release the held calls."""
        with self._lock:
            self._rules.clear()
        self.release()

    def hold(self) -> None:
        """Wait until the held calls are released, or for HOLD_SECONDS."""
        with self._changed:
            before = self._releases
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._releases != before, HOLD_SECONDS)
            self._held -= 1

    def release(self) -> None:
        """Release every held call."""
        with self._changed:
            self._releases += 1
            self._changed.notify_all()

    def wait_held(self, seconds: float) -> bool:
        """Return whether a call is held, or becomes held within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held > 0, seconds)

    def facts(self) -> list[dict[str, Any]]:
        """Return the active rules, in their order."""
        with self._lock:
            return [rule.facts() for rule in self._rules]

    def hit(self, call: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the effect of the first rule that applies to this call, or None."""
        with self._lock:
            for rule in self._rules:
                if rule.applies(call):
                    return rule.do
        return None


def status_of(effect: Mapping[str, Any]) -> int:
    """Return the HTTP status of an injected error."""
    return int(effect.get("status", STATUS_OF_CODE.get(effect["error"], 400)))
