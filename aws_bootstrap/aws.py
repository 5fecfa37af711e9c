"""The only door to boto3: sessions, retries, pages, and many regions at once."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .config import DEFAULT_REGION
from .errors import KNOWN_EXCEPTIONS, BootstrapError, UsageError, explain, unexpected_reply
from .models import RegionFailure, RegionReason
from .silence import SILENCE, tell

PRICING_REGION = "us-east-1"

REGION_SECONDS = 10.0
"""For how long a region may owe an answer after the last one that came from any. Any answer counts, a refusal too.
AWS_BOOTSTRAP_REGION_TIMEOUT sets another."""
_ALONE = 3
"""So many times longer while fewer than half of the regions have answered: it may be this machine's own network."""
_LOOK_EVERY = 0.2
TIMEOUTS: Mapping[str, float] = {"connect_timeout": 5, "read_timeout": 20}
"""Seconds that one attempt waits for a connection, and for an answer."""


class Aws:
    """Clients for one profile, made once per service and region, and only when asked for."""

    def __init__(self, profile: str | None = None, timeouts: Mapping[str, float] = TIMEOUTS) -> None:
        self.profile = profile
        self._timeouts = timeouts
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._making = threading.RLock()
        self._made: Any = None

    @property
    def region(self) -> str:
        """Return the region of the environment or the profile, or ours. botocore itself does not read AWS_REGION."""
        return os.environ.get("AWS_REGION") or self._session.region_name or DEFAULT_REGION

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown: the secret key and session token in use, as far as known. No call."""
        found = [os.environ.get("AWS_SECRET_ACCESS_KEY"), os.environ.get("AWS_SESSION_TOKEN")]
        # The attributes are botocore's own: its properties would renew credentials that have expired.
        credentials = getattr(getattr(self._made, "_session", None), "_credentials", None)
        if credentials:
            for name in ("secret_key", "token", "_secret_key", "_token"):
                found.append(vars(credentials).get(name))
        return tuple(secret for secret in found if secret)

    def ec2(self, region: str) -> Any:
        """Return the EC2 client of a region, with the SDK's standard retries."""
        return self._client("ec2", region, retry=True)

    def ec2_once(self, region: str) -> Any:
        """Return an EC2 client that sends each request once.

        For RunInstances: EC2 reports missing capacity as HTTP 500, which the SDK would send again in silence.
        """
        return self._client("ec2", region, retry=False)

    def pricing(self) -> Any:
        """Return the client of AWS's price list."""
        return self._client("pricing", PRICING_REGION, retry=True)

    def service_quotas(self, region: str) -> Any:
        """Return the Service Quotas client of a region."""
        return self._client("service-quotas", region, retry=True)

    def regions(self) -> list[str]:
        """Return the regions enabled for the account."""
        return ask_region(self.region, self._enabled_regions)

    def _enabled_regions(self, region: str) -> list[str]:
        reply = self.ec2(region).describe_regions(AllRegions=False)
        return sorted(described["RegionName"] for described in reply["Regions"])

    @property
    def _session(self) -> Any:
        with self._making:
            if self._made is None:
                import boto3

                with explained(reading=False):
                    self._made = boto3.Session(profile_name=self.profile)
            return self._made

    def _client(self, service: str, region: str, *, retry: bool) -> Any:
        key = (service, region, retry)
        with self._making:  # sessions are not thread-safe; clients are
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region, retry)
            return self._clients[key]

    def _new_client(self, service: str, region: str, retry: bool) -> Any:
        from botocore.config import Config

        retries = {"mode": "standard", "total_max_attempts": 5 if retry else 1}
        config = Config(retries=retries, user_agent_extra="aws-bootstrap", max_pool_connections=20, **self._timeouts)
        with explained(reading=False):
            client = self._session.client(service, region_name=region, config=config)
        SILENCE.watch(client)
        return client


@contextlib.contextmanager
def explained(*, reading: bool = True) -> Iterator[None]:
    """Raise our errors, not botocore's, from the block. Also a decorator: `@explained()`.

    `reading`: the block reads AWS's reply as well; what that lacks is an error `unexpected-reply`.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        raise explain(error.get("Code", ""), error.get("Message") or str(exc)) from exc
    except (BotoCoreError, ResponseParserError) as exc:
        error = explain(_known_name(exc), str(exc))
        error.answered = False
        raise error from exc
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        if not reading:
            raise
        raise unexpected_reply(exc) from exc


def _known_name(exc: Exception) -> str:
    """Return the name of the exception's nearest class that we can explain; its own if we can explain none."""
    for kind in type(exc).__mro__:
        if kind.__name__ in KNOWN_EXCEPTIONS:
            return kind.__name__
    return type(exc).__name__


def pages(client: Any, operation: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield every item under `key`, over all pages. A page without it is no empty one: AwsError `unexpected-reply`."""
    with explained():
        for page in client.get_paginator(operation).paginate(**params):
            yield from page[key]


_Answer = tuple[int, Any, BaseException | None]
"""The number of a call, and what it returned or raised."""


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Return the answers of all calls, made at the same time, in their order. Raise the first error in that order.

    Threads are daemons: an interrupted command ends at once instead of waiting for the slowest answer.
    """
    answers: SimpleQueue[_Answer] = SimpleQueue()

    def attempt(number: int, call: Callable[[], Any]) -> None:
        try:
            answers.put((number, call(), None))
        except BaseException as exc:
            answers.put((number, None, exc))

    for number, call in enumerate(calls):
        threading.Thread(target=attempt, args=(number, call), daemon=True).start()
    values: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    while len(values) + len(errors) < len(calls):
        number, value, error = _next(answers)
        if error is None:
            values[number] = value
        else:
            errors[number] = error
    if errors:
        raise errors[min(errors)]
    return [values[number] for number in range(len(calls))]


def _next(answers: SimpleQueue[_Answer]) -> _Answer:
    """Wait for the next of these, and return it.

    Woken now and then: a signal that comes just before the wait begins is acted on only when the wait is over.
    """
    while True:
        with contextlib.suppress(Empty):
            return answers.get(timeout=_LOOK_EVERY)


type Answers[T] = tuple[dict[str, T], tuple[RegionFailure, ...]]
"""Each region's answer, and the regions that failed."""


def each_region[T](regions: Iterable[str], ask: Callable[[str], T]) -> Answers[T]:
    """Return each region's answer, all asked at once, and the regions that failed. If every region fails, so does this.

    A region that falls silent counts as failed, and is told at once. So this is for reading alone: what an
    unanswered request may have changed would not be known. `change_each_region` waits for every region.
    """
    return _by_outcome(ask_each_region(regions, ask))


def ask_each_region[T](regions: Iterable[str], ask: Callable[[str], T]) -> dict[str, T | BootstrapError]:
    """As `each_region`: return each region's answer, or in its place the error that it ended with."""
    asked = list(dict.fromkeys(regions))
    patience = _patience()

    def limit(answered: int) -> float:
        if 2 * answered < len(asked):
            return _ALONE * patience
        return patience

    return _until_silent(asked, partial(_caught, ask), limit, given_up=_tell_silent)


def ask_region[T](region: str, ask: Callable[[str], T]) -> T:
    """As `each_region`, for one region. Raises its error; AwsError `unreachable` where it falls silent."""
    answers, _ = each_region([region], ask)
    return answers[region]


def without_waiting[T](region: str, ask: Callable[[str], T]) -> T:
    """Return the region's answer to a question that can be done without. AwsError `unreachable` where it falls silent.

    It is given up in half the time after which the region itself would be, so that it does not hide what else was read.
    """
    seconds = _patience() / 2

    def limit(answered: int) -> float:
        return seconds

    answer = _until_silent([region], partial(_caught, ask), limit)[region]
    if isinstance(answer, BootstrapError):
        raise answer
    return answer


def change_each_region[T](regions: Iterable[str], change: Callable[[str], T]) -> Answers[T]:
    """As `each_region`, for what changes something: each region is waited for to its end."""
    asked = list(dict.fromkeys(regions))
    calls = [partial(_caught, change, region) for region in asked]
    answers = together(*calls)
    return _by_outcome(dict(zip(asked, answers, strict=True)))


def _caught[T](ask: Callable[[str], T], region: str) -> T | BootstrapError:
    """Return the region's answer, or our error in place of it."""
    try:
        with explained():
            return ask(region)
    except BootstrapError as exc:
        return exc


def _say_nothing(region: str) -> None:
    pass


def _until_silent[T](
    asked: list[str],
    attempt: Callable[[str], T | BootstrapError],
    limit: Callable[[int], float],
    given_up: Callable[[str], None] = _say_nothing,
) -> dict[str, T | BootstrapError]:
    """Return each region's answer; an error in place of it where the region owes one for too long.

    `limit`: how long is too long, in seconds, given how many have answered. `given_up` is called at once.
    """
    arriving: SimpleQueue[tuple[str, Any, BaseException | None]] = SimpleQueue()

    def ask(region: str) -> None:
        try:
            arriving.put((region, attempt(region), None))
        except BaseException as exc:
            arriving.put((region, None, exc))

    for region in asked:
        threading.Thread(target=ask, args=(region,), daemon=True).start()
    answers: dict[str, T | BootstrapError] = {}
    while len(answers) < len(asked):
        with contextlib.suppress(Empty):
            region, answer, bug = arriving.get(timeout=_LOOK_EVERY)
            if bug is not None:
                raise bug
            answers[region] = answer
        seconds = limit(len(answers))
        for region in asked:
            if region not in answers and SILENCE.seconds(region) > seconds:
                given_up(region)
                answers[region] = explain("ReadTimeoutError", f"no answer within {seconds:g} s")
    return {region: answers[region] for region in asked}


def _tell_silent(region: str) -> None:
    tell(f"{region} does not answer; going on without it")


def _patience() -> float:
    """Return for how long a region may be silent, in seconds. UsageError if the environment names no such time."""
    named = os.environ.get("AWS_BOOTSTRAP_REGION_TIMEOUT")
    if not named:
        return REGION_SECONDS
    with contextlib.suppress(ValueError):
        seconds = float(named)
        if 0 < seconds < 3600:
            return seconds
    raise UsageError(f"AWS_BOOTSTRAP_REGION_TIMEOUT is '{named}'; it is a number of seconds, above 0 and below 3600.")


def _by_outcome[T](answers: dict[str, T | BootstrapError]) -> Answers[T]:
    """Return the answers, and the failures. Raise the first error if all failed."""
    found: dict[str, T] = {}
    failed: dict[str, BootstrapError] = {}
    for region, answer in answers.items():
        if isinstance(answer, BootstrapError):
            failed[region] = answer
        else:
            found[region] = answer
    if answers and not found:
        raise _of_all(failed)
    failures = [RegionFailure(region, str(error)) for region, error in failed.items()]
    return found, tuple(failures)


def _of_all(failed: dict[str, BootstrapError]) -> BootstrapError:
    """Return the first region's error, with every region's reason where there are several."""
    first, *others = failed.values()
    if not others:
        return first
    reasons = [RegionReason(region, str(error)) for region, error in failed.items()]
    return first.with_facts(regions=tuple(reasons))


def _without_password(url: str) -> str:
    """Return the URL without a user and password, which must not end up in a log."""
    return re.sub(r"//[^/@]*@", "//", url)


def my_address(url: str | None = None, timeout: float = 5.0) -> str:
    """Return the caller's public address as AWS sees it. BootstrapError where it cannot be found."""
    import urllib.request

    where = url or os.environ.get("AWS_BOOTSTRAP_CHECKIP_URL") or "https://checkip.amazonaws.com"
    try:
        if not where.startswith(("http://", "https://")):
            raise ValueError("not an http:// or https:// address")
        with urllib.request.urlopen(where, timeout=timeout) as reply:  # noqa: S310 (the scheme was checked)
            return str(ipaddress.ip_address(reply.read(200).decode("ascii", "replace").strip()))
    except (OSError, ValueError) as exc:
        raise BootstrapError(
            f"Could not find out this machine's public address from {_without_password(where)} ({exc}).",
            hint="Say who may reach the SSH port: --ssh-cidr 203.0.113.7/32",
            code="no-address",
        ) from exc
