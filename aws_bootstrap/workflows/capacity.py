"""Where to try next: a pure policy over what was tried, and the loop that follows it (contract §2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..ec2 import quota_family
from ..errors import AwsError, CapacityError, QuotaError, RegionReason
from ..models import Instance


@dataclass(frozen=True)
class Attempt:
    """One RunInstances: this type in this region and market."""

    region: str
    instance_type: str
    market: str


@dataclass(frozen=True)
class Miss:
    """An attempt that EC2 turned down for capacity, price or quota."""

    attempt: Attempt
    error: AwsError

    @property
    def is_quota(self) -> bool:
        """Whether asking again in this run is pointless."""
        return isinstance(self.error, QuotaError)


@dataclass(frozen=True)
class Policy:
    """What may be tried, in order of preference."""

    regions: tuple[str, ...]
    instance_types: tuple[str, ...]
    spot: bool


@dataclass(frozen=True)
class Tried:
    """What was tried so far, and whether on-demand was agreed to (None: not asked yet)."""

    misses: tuple[Miss, ...] = ()
    on_demand: bool | None = None


@dataclass(frozen=True)
class AskOnDemand:
    """Spot has none: on-demand may, at its higher price."""


@dataclass(frozen=True)
class GiveUp:
    """Nothing is left to try."""

    misses: tuple[Miss, ...] = field(default_factory=tuple)


def next_attempt(policy: Policy, tried: Tried) -> Attempt | AskOnDemand | GiveUp:
    """What to do after what was tried. Pure."""
    first_market = "spot" if policy.spot else "on-demand"
    attempt = _untried(policy, tried, first_market)
    if attempt is None and policy.spot and any(not m.is_quota for m in tried.misses):
        if tried.on_demand is None:
            return AskOnDemand()
        attempt = _untried(policy, tried, "on-demand") if tried.on_demand else None
    return attempt or GiveUp(tried.misses)


def _untried(policy: Policy, tried: Tried, market: str) -> Attempt | None:
    """The first attempt of a sweep in this market that was neither made nor dropped."""
    made = {m.attempt for m in tried.misses}
    dropped = {(m.attempt.region, quota_family(m.attempt.instance_type)) for m in tried.misses if m.is_quota}
    sweep = (Attempt(region, kind, market) for kind in policy.instance_types for region in policy.regions)
    return next((a for a in sweep if a not in made and (a.region, quota_family(a.instance_type)) not in dropped), None)


def acquire(
    policy: Policy,
    start: Callable[[Attempt], Instance],
    ask_on_demand: Callable[[], bool],
    on_miss: Callable[[Miss], None],
) -> tuple[Instance, Attempt]:
    """The instance started and the attempt that gave it. CapacityError or QuotaError with every region's reason."""
    tried = Tried()
    while True:
        move = next_attempt(policy, tried)
        if isinstance(move, GiveUp):
            raise _given_up(move.misses, declined=tried.on_demand is False)
        if isinstance(move, AskOnDemand):
            tried = Tried(tried.misses, ask_on_demand())
            continue
        try:
            return start(move), move
        except (CapacityError, QuotaError) as exc:
            miss = Miss(move, exc)
        on_miss(miss)
        tried = Tried((*tried.misses, miss), tried.on_demand)


def quota_commands(attempt: Attempt, vcpus: int, program: str) -> str:
    """The commands that show and raise the quota which turned this attempt down."""
    family = quota_family(attempt.instance_type)
    if family is None:
        return "Ask for more at: https://console.aws.amazon.com/servicequotas/"
    pinned = f"--family {family} --region {attempt.region}"
    # Twice the need: what is there may be in use, and AWS reviews each request.
    request = f"{program} quota request {pinned} --type {attempt.market} --desired-value {2 * vcpus}"
    return f"See the quota:     {program} quota show {pinned}\nAsk for more:      {request}"


def _given_up(misses: tuple[Miss, ...], *, declined: bool) -> AwsError:
    reasons = tuple(
        RegionReason(m.attempt.region, str(m.error), m.attempt.instance_type, m.attempt.market) for m in misses
    )
    kinds = {m.attempt.instance_type for m in misses}
    kind = kinds.pop() if len(kinds) == 1 else "instance of these types"
    aws_code = misses[-1].error.aws_code
    hints = list(dict.fromkeys(m.error.hint for m in misses if m.is_quota and m.error.hint))
    if all(m.is_quota for m in misses):
        error: AwsError = QuotaError(f"The account's quota does not allow one more {kind}.", aws_code=aws_code)
    else:
        error = CapacityError(f"EC2 has no {kind} to give just now.", aws_code=aws_code)
        hints += ["Take on-demand, at its price: --on-demand"] if declined else []
        hints.append("Try later, another --instance-type or another --region.")
    error.with_facts(regions=reasons, hint="\n".join(hints) or None)
    return error
