"""What to attempt next: a pure policy over the search so far, and the loop that follows it (contract §2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...ec2 import Market, quota_family
from ...errors import AwsError, CapacityError, QuotaError, TransientError
from ...models import Instance, RegionReason
from ...retry import backoff

#: Seconds of the first pause between two sweeps, and of the longest.
FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
#: EC2's code for a spot price above the limit. Also used here for an on-demand price above it.
PRICE_TOO_LOW = "SpotMaxPriceTooLow"


@dataclass(frozen=True)
class Attempt:
    """One RunInstances: an instance type in a region and a market."""

    region: str
    instance_type: str
    market: Market
    #: None: EC2 chooses.
    subnet_id: str | None = None

    @property
    def description(self) -> str:
        """Return the attempt as messages name it."""
        place = self.region
        if self.subnet_id:
            place = f"{self.subnet_id}, {self.region}"
        return f"{self.instance_type} ({self.market}) in {place}"


@dataclass(frozen=True)
class FailedAttempt:
    """An attempt that EC2 refused, and the number of its sweep."""

    attempt: Attempt
    error: AwsError
    sweep: int = 0
    #: Whether the search waits until the cause has passed by itself.
    waits: bool = False

    @property
    def cause(self) -> str:
        """Return `capacity`, `quota`, `unsupported` or `refused`.

        Capacity may return while the search runs, and so may whatever passes by itself. A quota rules out the type's
        family in the region, a refusal rules out the region, and a type that a fixed zone lacks is ruled out there.
        """
        if self.waits or isinstance(self.error, CapacityError):
            return "capacity"
        if isinstance(self.error, QuotaError):
            return "quota"
        if isinstance(self.error, UnsupportedError):
            return "unsupported"
        return "refused"

    @property
    def is_too_dear(self) -> bool:
        """Return whether the price alone ruled out the attempt."""
        return self.error.aws_code == PRICE_TOO_LOW


@dataclass(frozen=True)
class Policy:
    """What a search may attempt, and for how long."""

    #: (region, instance type), in order of preference.
    pairs: tuple[tuple[str, str], ...]
    spot: bool
    #: Seconds during which sweeps are repeated. None means a single sweep.
    wait_timeout: float | None = None
    #: The subnets to try in a region, in order of preference; EC2 chooses in a region without any.
    subnet_ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: The zone that a data volume determines.
    zone: str | None = None
    #: Whether on-demand may be within --max-price.
    on_demand_fits: bool = True
    #: The pairs in the order of the attempts on-demand, where that is another one.
    on_demand_pairs: tuple[tuple[str, str], ...] = ()

    def attempts(self, market: Market) -> list[Attempt]:
        """Return the attempts of one sweep in this market, in order."""
        attempts: list[Attempt] = []
        pairs = self.pairs
        if market == "on-demand" and self.on_demand_pairs:
            pairs = self.on_demand_pairs
        for region, instance_type in pairs:
            for subnet_id in self.subnet_ids.get(region) or (None,):
                attempts.append(Attempt(region, instance_type, market, subnet_id))
        return attempts

    def fixes_zone(self, attempt: Attempt) -> bool:
        """Return whether EC2 cannot choose the attempt's zone."""
        return attempt.subnet_id is not None or self.zone is not None


@dataclass(frozen=True)
class SearchState:
    """The search so far."""

    failed_attempts: tuple[FailedAttempt, ...] = ()
    #: The number of the current sweep, from 0.
    sweep: int = 0
    #: Seconds since the search began.
    elapsed: float = 0.0
    #: Whether the user accepted on-demand. None until the question is answered.
    on_demand: bool | None = None


@dataclass(frozen=True)
class AskOnDemand:
    """Ask whether to launch on-demand: there is no spot capacity."""


@dataclass(frozen=True)
class Wait:
    """Pause, then begin the next sweep."""

    #: The longest pause that the timeout allows, in seconds.
    max_seconds: float


@dataclass(frozen=True)
class GiveUp:
    """End the search: nothing is left to attempt."""


class UnsupportedError(AwsError):
    """EC2 does not offer the type, or this configuration of it, in the zone that a volume or a subnet determines."""

    code = "bad-instance-type"


class ZeroQuotaError(QuotaError):
    """The quota is 0 vCPUs: the account may not start any instance of the family."""


Action = Attempt | AskOnDemand | Wait | GiveUp


def next_action(policy: Policy, state: SearchState) -> Action:
    """Return what to do next. Pure."""
    attempt = _next_in_sweep(policy, state, _first_market(policy))
    if attempt:
        return attempt
    if policy.wait_timeout is not None:
        return _after_sweep(policy, state, policy.wait_timeout)
    if policy.spot and "capacity" in _causes(state.failed_attempts):
        return _after_spot(policy, state)
    return GiveUp()


def _first_market(policy: Policy) -> Market:
    """Return the market of the first sweep."""
    if policy.spot:
        return "spot"
    return "on-demand"


def _after_spot(policy: Policy, state: SearchState) -> Attempt | AskOnDemand | GiveUp:
    """Return what to do where spot lacks capacity: attempt on-demand, once the user has accepted it."""
    if state.on_demand is None and on_demand_attempts(policy, state):
        return AskOnDemand()
    if not state.on_demand:
        return GiveUp()
    attempt = _next_in_sweep(policy, state, "on-demand")
    if attempt:
        return attempt
    return GiveUp()


def on_demand_attempts(policy: Policy, state: SearchState) -> list[Attempt]:
    """Return what would be attempted on-demand, in order: nothing that an earlier failure rules out."""
    return [attempt for attempt in policy.attempts("on-demand") if not _is_ruled_out(state, attempt)]


def _after_sweep(policy: Policy, state: SearchState, timeout: float) -> Wait | GiveUp:
    """Return what to do after a sweep: wait for the next one while time and pairs are left."""
    seconds_left = timeout - state.elapsed
    if seconds_left <= 0:
        return GiveUp()
    for attempt in policy.attempts(_first_market(policy)):
        if not _is_ruled_out(state, attempt):
            return Wait(seconds_left)
    return GiveUp()


def _next_in_sweep(policy: Policy, state: SearchState, market: Market) -> Attempt | None:
    """Return the next attempt of the current sweep in this market; None if the sweep is complete."""
    failed_in_sweep = {failed.attempt for failed in state.failed_attempts if failed.sweep == state.sweep}
    for attempt in policy.attempts(market):
        if attempt in failed_in_sweep:
            continue
        if not _is_ruled_out(state, attempt):
            return attempt
    return None


def _is_ruled_out(state: SearchState, attempt: Attempt) -> bool:
    """Return whether an earlier failure rules out this attempt, in any market, until the search ends."""
    family = quota_family(attempt.instance_type)
    for failed in state.failed_attempts:
        if failed.attempt.region != attempt.region:
            continue
        if failed.cause == "unsupported" and replace(failed.attempt, market=attempt.market) == attempt:
            return True
        if failed.cause == "refused":
            return True
        if failed.cause == "quota" and quota_family(failed.attempt.instance_type) == family:
            return True
    return False


def _causes(failed_attempts: Iterable[FailedAttempt]) -> set[str]:
    """Return the causes of these failed attempts."""
    return {failed.cause for failed in failed_attempts}


def _ignore(*_: object) -> None:
    """Do nothing: the default of a hook that only reports."""


@dataclass(frozen=True)
class SearchHooks:
    """The caller's functions that the search loop calls."""

    #: Starts an instance. Raises AwsError if EC2 does not start it.
    start: Callable[[Attempt], Instance]
    #: Returns whether the user accepts on-demand. Its argument has the attempts that would follow, in order.
    ask_on_demand: Callable[[Sequence[Attempt]], bool]
    #: Called before each attempt.
    on_attempt: Callable[[Attempt, SearchState], None] = _ignore
    #: Called after each failed attempt.
    on_failure: Callable[[FailedAttempt], None] = _ignore
    #: Called with the seconds left: at the start of each pause, then once a second.
    on_wait: Callable[[float, SearchState], None] = _ignore
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def acquire(policy: Policy, hooks: SearchHooks) -> tuple[Instance, tuple[Attempt, ...]]:
    """Start an instance. Return it with all attempts, of which the last one succeeded.

    Raises CapacityError, QuotaError or AwsError, with the reason of each attempt, if every attempt fails.
    """
    began = hooks.clock()
    waits = backoff(FIRST_WAIT, LONGEST_WAIT)
    state = SearchState()
    while True:
        state = replace(state, elapsed=hooks.clock() - began)
        action = next_action(policy, state)
        match action:
            case Attempt():
                outcome = _run_attempt(policy, hooks, action, state)
                if not isinstance(outcome, FailedAttempt):
                    earlier = [failed.attempt for failed in state.failed_attempts]
                    return outcome, (*earlier, action)
                hooks.on_failure(outcome)
                state = replace(state, failed_attempts=(*state.failed_attempts, outcome))
            case AskOnDemand():
                state = replace(state, on_demand=hooks.ask_on_demand(on_demand_attempts(policy, state)))
            case Wait():
                seconds = min(next(waits), action.max_seconds)
                _pause(hooks, seconds, state)
                state = replace(state, sweep=state.sweep + 1)
            case GiveUp():
                raise search_error(policy, state)


def _run_attempt(policy: Policy, hooks: SearchHooks, attempt: Attempt, state: SearchState) -> Instance | FailedAttempt:
    """Run the attempt. Return the instance, or the failed attempt if the search may continue after it."""
    hooks.on_attempt(attempt, state)
    try:
        return hooks.start(attempt)
    except AwsError as exc:
        if exc.aws_code == "Unsupported" and policy.fixes_zone(attempt):
            return FailedAttempt(attempt, _unsupported(exc), state.sweep)
        if not _may_continue(policy, exc):
            raise
        return FailedAttempt(attempt, exc, state.sweep, _is_waited_for(policy, exc))


def _unsupported(error: AwsError) -> UnsupportedError:
    """Return EC2's refusal of a type in a zone that a volume or a subnet determines: no later attempt can succeed."""
    return UnsupportedError(
        str(error),
        aws_code=error.aws_code,
        hint="--subnet-id and --ebs-volume-id determine the zone. Pass another --instance-type, or a subnet or volume "
        "in another zone.",
    )


def _is_waited_for(policy: Policy, error: AwsError) -> bool:
    """Return whether the search waits until the cause of this error has passed by itself."""
    return error.passes and policy.wait_timeout is not None


def _may_continue(policy: Policy, error: AwsError) -> bool:
    """Return whether the search may continue after this error.

    It may not while the outcome of the attempt is unknown: an instance may be starting.
    """
    if isinstance(error, CapacityError | QuotaError) or _is_waited_for(policy, error):
        return True
    if error.code == "account-plan":
        return False  # it holds for every region
    if not error.outcome_known or isinstance(error, TransientError):
        return False
    regions = {region for region, _ in policy.pairs}
    return len(regions) > 1


def _pause(hooks: SearchHooks, seconds: float, state: SearchState) -> None:
    """Sleep for this many seconds, and report each of them."""
    end = hooks.clock() + seconds
    while (left := end - hooks.clock()) > 0:
        hooks.on_wait(left, state)
        hooks.sleep(min(left, 1.0))


def search_error(policy: Policy, state: SearchState) -> AwsError:
    """Return the error for a search without success: the last reason of each attempt, and the hints."""
    last = _last_failures(state)
    regions = [_region_reason(failed) for failed in last]
    hints = dict.fromkeys(_hints(policy, state, last))
    error = _error_for(policy, last)
    error.add_details(regions=tuple(regions), hint="\n".join(hints) or None)
    return error


def _last_failures(state: SearchState) -> list[FailedAttempt]:
    """Return the last failure of each attempt, in the order in which the attempts first ran."""
    last: dict[Attempt, FailedAttempt] = {}
    for failed in state.failed_attempts:
        last[failed.attempt] = failed
    return list(last.values())


def _region_reason(failed: FailedAttempt) -> RegionReason:
    """Return why the attempt failed."""
    attempt = failed.attempt
    reason = str(failed.error)
    if attempt.subnet_id:
        reason = f"{attempt.subnet_id}: {reason}"
    return RegionReason(attempt.region, reason, attempt.instance_type, attempt.market)


def _error_for(policy: Policy, last: list[FailedAttempt]) -> AwsError:
    """Return the error that fits all failures. Capacity takes precedence, since only capacity may return by itself."""
    types = _instance_types(last)
    causes = _causes(last)
    last_error = last[-1].error
    aws_code = last_error.aws_code
    if all(failed.error.passes for failed in last) or causes == {"unsupported"}:
        error = type(last_error)(str(last_error), aws_code=aws_code, code=last_error.code)
        error.passes = last_error.passes
        return error
    if all(isinstance(failed.error, ZeroQuotaError) for failed in last):
        return QuotaError(str(last_error), aws_code=aws_code)
    if causes == {"quota"}:
        return QuotaError(f"The account's vCPU quota does not allow another {types}.", aws_code=aws_code)
    if "capacity" not in causes:
        return AwsError(f"EC2 refused to launch {types} in every region.", aws_code=aws_code, code=last_error.code)
    if all(failed.is_too_dear for failed in last if failed.cause == "capacity"):
        message = f"The price of {types} is above --max-price."
    elif policy.wait_timeout is None:
        message = f"EC2 has no capacity for {types} right now."
    else:
        message = f"EC2 had no capacity for {types} within {policy.wait_timeout:.0f} s."
    return CapacityError(message, aws_code=aws_code)


def _instance_types(last: list[FailedAttempt]) -> str:
    """Return the attempted instance types, each once, as a sentence names them."""
    names = dict.fromkeys(failed.attempt.instance_type for failed in last)
    return " or ".join(names)


def _hints(policy: Policy, state: SearchState, last: list[FailedAttempt]) -> list[str]:
    """Return the hints: first those of quotas and refusals, then the options that may find capacity."""
    hints: list[str] = []
    for failed in last:
        if failed.error.hint and (failed.is_too_dear or not isinstance(failed.error, CapacityError)):
            hints.append(failed.error.hint)
    if not any(isinstance(failed.error, CapacityError) for failed in last):
        return hints
    if policy.spot and policy.on_demand_fits and not state.on_demand:
        hints.append("Launch on-demand, at its price: --on-demand")
    if policy.wait_timeout is None:
        hints.append("Wait for capacity: --wait")
    hints.append("Try another --instance-type or --region. Both can be repeated.")
    return hints
