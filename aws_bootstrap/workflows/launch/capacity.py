"""Where to try next: a pure policy over what was tried, and the loop that follows it (contract §2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ...ec2 import Market, quota_family
from ...errors import AwsError, CapacityError, QuotaError, RegionReason, TransientError
from ...models import Instance
from ...retry import backoff

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
"""Seconds between sweeps: the first pause, and the one that they grow to."""


@dataclass(frozen=True)
class Attempt:
    """One RunInstances: this type in this region and market."""

    region: str
    instance_type: str
    market: Market


@dataclass(frozen=True)
class Miss:
    """An attempt that EC2 turned down, and the sweep it was part of."""

    attempt: Attempt
    error: AwsError
    sweep: int = 0

    @property
    def kind(self) -> str:
        """`capacity` may come back; `quota` stands in the family's way, `refused` in the region's, for this run."""
        if isinstance(self.error, CapacityError):
            return "capacity"
        return "quota" if isinstance(self.error, QuotaError) else "refused"


@dataclass(frozen=True)
class Policy:
    """What may be tried: (region, type) in order of preference, and for how many seconds (None: one sweep)."""

    pairs: tuple[tuple[str, str], ...]
    spot: bool
    wait_timeout: float | None = None


@dataclass(frozen=True)
class Tried:
    """What was tried so far, and whether on-demand was agreed to (None: not asked yet)."""

    misses: tuple[Miss, ...] = ()
    sweep: int = 0
    elapsed: float = 0.0
    on_demand: bool | None = None


@dataclass(frozen=True)
class AskOnDemand:
    """Spot has none: on-demand may, at its higher price."""


@dataclass(frozen=True)
class Wait:
    """Nothing now: sweep again after a pause, of so many seconds at most."""

    at_most: float


@dataclass(frozen=True)
class GiveUp:
    """Nothing is left to try."""


Move = Attempt | AskOnDemand | Wait | GiveUp


def next_attempt(policy: Policy, tried: Tried) -> Move:
    """What to do after what was tried. Pure."""
    attempt = _untried(policy, tried, "spot" if policy.spot else "on-demand")
    if attempt:
        return attempt
    if policy.wait_timeout is not None:
        return _after_sweep(policy, tried, policy.wait_timeout)
    if policy.spot and any(m.kind == "capacity" for m in tried.misses):
        if tried.on_demand is None:
            return AskOnDemand()
        return (tried.on_demand and _untried(policy, tried, "on-demand")) or GiveUp()
    return GiveUp()


def _after_sweep(policy: Policy, tried: Tried, timeout: float) -> Wait | GiveUp:
    hopeful = any(not _is_dropped(tried, region, kind) for region, kind in policy.pairs)
    left = timeout - tried.elapsed
    return Wait(left) if hopeful and left > 0 else GiveUp()


def _untried(policy: Policy, tried: Tried, market: Market) -> Attempt | None:
    """The first attempt of this sweep in this market that was neither made nor dropped."""
    made = {m.attempt for m in tried.misses if m.sweep == tried.sweep}
    pairs = ((r, k) for r, k in policy.pairs if not _is_dropped(tried, r, k))
    return next((a for a in (Attempt(r, k, market) for r, k in pairs) if a not in made), None)


def _is_dropped(tried: Tried, region: str, instance_type: str) -> bool:
    """Whether a quota or a refusal stands in the way of this type in this region, for the rest of the run."""
    here = [m for m in tried.misses if m.attempt.region == region]
    family = quota_family(instance_type)
    blocked = (m.kind == "quota" and quota_family(m.attempt.instance_type) == family for m in here)
    return any(m.kind == "refused" for m in here) or any(blocked)


@dataclass(frozen=True)
class Search:
    """How the loop acts: each function is the caller's."""

    start: Callable[[Attempt], Instance]
    """Start an instance; AwsError if EC2 does not."""
    ask_on_demand: Callable[[], bool]
    on_try: Callable[[Attempt, Tried], None] = lambda attempt, tried: None
    on_miss: Callable[[Miss], None] = lambda miss: None
    on_wait: Callable[[float, Tried], None] = lambda seconds, tried: None
    """Told before each pause, and each second of it, how many seconds are left."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def acquire(policy: Policy, search: Search) -> tuple[Instance, tuple[Attempt, ...]]:
    """The instance started, and the attempts made, the last of which gave it.

    Raises CapacityError or QuotaError, with each region's reason, when there is none to be had.
    """
    began, waits, tried = search.clock(), backoff(FIRST_WAIT, LONGEST_WAIT), Tried()
    while True:
        tried = replace(tried, elapsed=search.clock() - began)
        move = next_attempt(policy, tried)
        match move:
            case Attempt():
                search.on_try(move, tried)
                try:
                    return search.start(move), (*(m.attempt for m in tried.misses), move)
                except AwsError as exc:
                    if not _goes_on(policy, exc):
                        raise
                    miss = Miss(move, exc, tried.sweep)
                search.on_miss(miss)
                tried = replace(tried, misses=(*tried.misses, miss))
            case AskOnDemand():
                tried = replace(tried, on_demand=search.ask_on_demand())
            case Wait():
                _pause(search, min(next(waits), move.at_most), tried)
                tried = replace(tried, sweep=tried.sweep + 1)
            case GiveUp():
                raise given_up(policy, tried)


def _goes_on(policy: Policy, error: AwsError) -> bool:
    """Whether another attempt may follow. Never after an answer that is not known: an instance may be starting."""
    if isinstance(error, CapacityError | QuotaError):
        return True
    elsewhere = len({region for region, _ in policy.pairs}) > 1
    return elsewhere and error.answered and not isinstance(error, TransientError)


def _pause(search: Search, seconds: float, tried: Tried) -> None:
    end = search.clock() + seconds
    while (left := end - search.clock()) > 0:
        search.on_wait(left, tried)
        search.sleep(min(left, 1.0))


def quota_commands(attempt: Attempt, desired_value: int, program: str) -> str:
    """The commands that show and raise the quota which turned this attempt down."""
    family = quota_family(attempt.instance_type)
    if family is None:
        return "Ask for more at: https://console.aws.amazon.com/servicequotas/"
    pinned = f"--family {family} --region {attempt.region}"
    request = f"{program} quota request {pinned} --type {attempt.market} --desired-value {desired_value}"
    return f"See the quota:  {program} quota show {pinned}\nAsk for more:   {request}"


def given_up(policy: Policy, tried: Tried) -> AwsError:
    """The error for a search that ended without an instance: the last reason of each attempt, and what helps."""
    last = list({m.attempt: m for m in tried.misses}.values())
    kinds = {m.attempt.instance_type for m in last}
    kind = kinds.pop() if len(kinds) == 1 else "instance of these types"
    aws_code = last[-1].error.aws_code
    error: AwsError
    if all(m.kind == "quota" for m in last):
        error = QuotaError(f"The account's quota does not allow one more {kind}.", aws_code=aws_code)
    elif all(m.kind != "capacity" for m in last):
        error = AwsError("Every region refuses.", aws_code=aws_code, code=last[-1].error.code)
    else:
        when = f"within {policy.wait_timeout:.0f} s" if policy.wait_timeout is not None else "just now"
        error = CapacityError(f"EC2 has no {kind} to give {when}.", aws_code=aws_code)
    reasons = (RegionReason(m.attempt.region, str(m.error), m.attempt.instance_type, m.attempt.market) for m in last)
    hints = list(_hints(policy, tried, last))
    error.with_facts(regions=tuple(reasons), hint="\n".join(dict.fromkeys(hints)) or None)
    return error


def _hints(policy: Policy, tried: Tried, last: list[Miss]) -> Iterator[str]:
    yield from (m.error.hint for m in last if m.kind != "capacity" and m.error.hint)
    if all(m.kind != "capacity" for m in last):
        return
    if policy.spot and not tried.on_demand:
        yield "Take on-demand, at its price: --on-demand"
    if policy.wait_timeout is None:
        yield "Keep trying for a while: --wait"
    yield "Try another --instance-type or --region; both can be repeated."
