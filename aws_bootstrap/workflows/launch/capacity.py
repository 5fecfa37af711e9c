"""Where to try next: a pure policy over what was tried, and the loop that follows it (contract §2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...ec2 import Market, quota_family
from ...errors import AwsError, CapacityError, QuotaError, TransientError
from ...invocation import PROGRAM
from ...models import Instance, RegionReason
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
        if isinstance(self.error, QuotaError):
            return "quota"
        return "refused"


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
    """Return what to do after what was tried. Pure."""
    first_market: Market = "on-demand"
    if policy.spot:
        first_market = "spot"
    attempt = _untried(policy, tried, first_market)
    if attempt:
        return attempt
    if policy.wait_timeout is not None:
        return _after_sweep(policy, tried, policy.wait_timeout)
    if policy.spot and "capacity" in _kinds(tried.misses):
        return _after_spot(policy, tried)
    return GiveUp()


def _after_spot(policy: Policy, tried: Tried) -> Attempt | AskOnDemand | GiveUp:
    """Return what to do where spot lacks capacity: on-demand, if it is agreed to."""
    if tried.on_demand is None:
        return AskOnDemand()
    if not tried.on_demand:
        return GiveUp()
    attempt = _untried(policy, tried, "on-demand")
    if attempt:
        return attempt
    return GiveUp()


def _after_sweep(policy: Policy, tried: Tried, timeout: float) -> Wait | GiveUp:
    """Return what to do after a sweep: wait for the next one, while there is time and something left to try."""
    seconds_left = timeout - tried.elapsed
    if seconds_left <= 0:
        return GiveUp()
    for region, instance_type in policy.pairs:
        if not _is_dropped(tried, region, instance_type):
            return Wait(seconds_left)
    return GiveUp()


def _untried(policy: Policy, tried: Tried, market: Market) -> Attempt | None:
    """Return the first attempt of this sweep in this market that was neither made nor dropped."""
    made = {miss.attempt for miss in tried.misses if miss.sweep == tried.sweep}
    for region, instance_type in policy.pairs:
        attempt = Attempt(region, instance_type, market)
        if attempt in made:
            continue
        if not _is_dropped(tried, region, instance_type):
            return attempt
    return None


def _is_dropped(tried: Tried, region: str, instance_type: str) -> bool:
    """Return whether a quota or a refusal rules out this type in this region, for the rest of the run."""
    family = quota_family(instance_type)
    for miss in tried.misses:
        if miss.attempt.region != region:
            continue
        if miss.kind == "refused":
            return True
        if miss.kind == "quota" and quota_family(miss.attempt.instance_type) == family:
            return True
    return False


def _kinds(misses: Iterable[Miss]) -> set[str]:
    """Return the kinds of these failed attempts."""
    return {miss.kind for miss in misses}


def _ignore(*_: object) -> None:
    """Do nothing: for a caller of the loop that has nothing to report."""


@dataclass(frozen=True)
class Search:
    """What the loop calls: each function is the caller's."""

    start: Callable[[Attempt], Instance]
    """Start an instance; AwsError if EC2 does not."""
    ask_on_demand: Callable[[], bool]
    on_try: Callable[[Attempt, Tried], None] = _ignore
    on_miss: Callable[[Miss], None] = _ignore
    on_wait: Callable[[float, Tried], None] = _ignore
    """Called before each pause, and each second of it, with the seconds that are left."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def acquire(policy: Policy, search: Search) -> tuple[Instance, tuple[Attempt, ...]]:
    """Return the instance started, and the attempts made, the last of which gave it.

    Raises CapacityError or QuotaError, with each region's reason, when there is none to be had.
    """
    began = search.clock()
    waits = backoff(FIRST_WAIT, LONGEST_WAIT)
    tried = Tried()
    while True:
        tried = replace(tried, elapsed=search.clock() - began)
        move = next_attempt(policy, tried)
        match move:
            case Attempt():
                outcome = _make(policy, search, move, tried)
                if not isinstance(outcome, Miss):
                    failed = [miss.attempt for miss in tried.misses]
                    return outcome, (*failed, move)
                search.on_miss(outcome)
                tried = replace(tried, misses=(*tried.misses, outcome))
            case AskOnDemand():
                tried = replace(tried, on_demand=search.ask_on_demand())
            case Wait():
                seconds = min(next(waits), move.at_most)
                _pause(search, seconds, tried)
                tried = replace(tried, sweep=tried.sweep + 1)
            case GiveUp():
                raise given_up(policy, tried)


def _make(policy: Policy, search: Search, attempt: Attempt, tried: Tried) -> Instance | Miss:
    """Make the attempt. Return the instance, or the failed attempt where another may follow."""
    search.on_try(attempt, tried)
    try:
        return search.start(attempt)
    except AwsError as exc:
        if not _may_go_on(policy, exc):
            raise
        return Miss(attempt, exc, tried.sweep)


def _may_go_on(policy: Policy, error: AwsError) -> bool:
    """Return whether another attempt may follow.

    None follows an answer that is not known: an instance may be starting.
    """
    if isinstance(error, CapacityError | QuotaError):
        return True
    if not error.outcome_known or isinstance(error, TransientError):
        return False
    regions = {region for region, _ in policy.pairs}
    return len(regions) > 1


def _pause(search: Search, seconds: float, tried: Tried) -> None:
    """Sleep for so many seconds, and report each of them."""
    end = search.clock() + seconds
    while (left := end - search.clock()) > 0:
        search.on_wait(left, tried)
        search.sleep(min(left, 1.0))


def quota_commands(attempt: Attempt, desired_value: int) -> str:
    """Return the commands that show and raise the quota which turned this attempt down."""
    family = quota_family(attempt.instance_type)
    if family is None:
        return "Ask for more at: https://console.aws.amazon.com/servicequotas/"
    pinned = f"--family {family} --region {attempt.region}"
    request = f"{PROGRAM} quota request {pinned} --type {attempt.market} --desired-value {desired_value}"
    return f"See the quota:  {PROGRAM} quota show {pinned}\nAsk for more:   {request}"


def given_up(policy: Policy, tried: Tried) -> AwsError:
    """Return the error for a search that ended without an instance: the last reason of each attempt, and what helps."""
    last = _last_misses(tried)
    regions = [_region_reason(miss) for miss in last]
    hints = dict.fromkeys(_hints(policy, tried, last))
    error = _search_error(policy, last)
    error.add_details(regions=tuple(regions), hint="\n".join(hints) or None)
    return error


def _last_misses(tried: Tried) -> list[Miss]:
    """Return the last failure of each attempt, in the order in which the attempts were first made."""
    last: dict[Attempt, Miss] = {}
    for miss in tried.misses:
        last[miss.attempt] = miss
    return list(last.values())


def _region_reason(miss: Miss) -> RegionReason:
    """Return why EC2 turned the attempt down."""
    attempt = miss.attempt
    return RegionReason(attempt.region, str(miss.error), attempt.instance_type, attempt.market)


def _search_error(policy: Policy, last: list[Miss]) -> AwsError:
    """Return the error that fits all reasons: a quota or a refusal only where there is no other."""
    subject = _subject(last)
    kinds = _kinds(last)
    last_error = last[-1].error
    aws_code = last_error.aws_code
    if kinds == {"quota"}:
        return QuotaError(f"The account's quota does not allow one more {subject}.", aws_code=aws_code)
    if "capacity" not in kinds:
        return AwsError("Every region refuses.", aws_code=aws_code, code=last_error.code)
    when = "just now"
    if policy.wait_timeout is not None:
        when = f"within {policy.wait_timeout:.0f} s"
    return CapacityError(f"EC2 has no {subject} to give {when}.", aws_code=aws_code)


def _subject(last: list[Miss]) -> str:
    """Return what was tried: the instance type, or words for several."""
    instance_types = {miss.attempt.instance_type for miss in last}
    if len(instance_types) == 1:
        return instance_types.pop()
    return "instance of these types"


def _hints(policy: Policy, tried: Tried, last: list[Miss]) -> list[str]:
    """Return what helps: first the hints of quotas and refusals, then what to do about a lack of capacity."""
    hints: list[str] = []
    for miss in last:
        if miss.kind != "capacity" and miss.error.hint:
            hints.append(miss.error.hint)
    if "capacity" not in _kinds(last):
        return hints
    if policy.spot and not tried.on_demand:
        hints.append("Take on-demand, at its price: --on-demand")
    if policy.wait_timeout is None:
        hints.append("Keep trying for a while: --wait")
    hints.append("Try another --instance-type or --region; both can be repeated.")
    return hints
