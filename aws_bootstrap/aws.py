"""The only door to boto3: sessions, retries, pages, and many regions at once."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from typing import Any, TypeVar

from .config import DEFAULT_REGION
from .errors import KNOWN_EXCEPTIONS, BootstrapError, RegionReason, explain
from .models import RegionFailure

T = TypeVar("T")

PRICING_REGION = "us-east-1"
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
        """The region of the environment or the profile, or ours. botocore itself does not read AWS_REGION."""
        return os.environ.get("AWS_REGION") or self._session.region_name or DEFAULT_REGION

    def ec2(self, region: str) -> Any:
        """The EC2 client of a region, with the SDK's standard retries."""
        return self._client("ec2", region, retry=True)

    def ec2_once(self, region: str) -> Any:
        """An EC2 client that sends each request once.

        For RunInstances: EC2 reports missing capacity as HTTP 500, which the SDK would send again in silence.
        """
        return self._client("ec2", region, retry=False)

    def pricing(self) -> Any:
        """The client of AWS's price list."""
        return self._client("pricing", PRICING_REGION, retry=True)

    def service_quotas(self, region: str) -> Any:
        """The Service Quotas client of a region."""
        return self._client("service-quotas", region, retry=True)

    def regions(self) -> list[str]:
        """The regions enabled for the account."""
        with explained():
            reply = self.ec2(self.region).describe_regions(AllRegions=False)
        return sorted(r["RegionName"] for r in reply["Regions"])

    @property
    def _session(self) -> Any:
        with self._making:
            if self._made is None:
                import boto3

                with explained():
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
        with explained():
            return self._session.client(service, region_name=region, config=config)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raise our errors, not botocore's, from the block."""
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


def _known_name(exc: Exception) -> str:
    """The name of the exception's nearest class that we can explain."""
    return next((c.__name__ for c in type(exc).__mro__ if c.__name__ in KNOWN_EXCEPTIONS), type(exc).__name__)


def pages(client: Any, operation: str, key: str, **params: Any) -> Iterator[dict]:
    """Every item under `key`, over all pages."""
    with explained():
        for page in client.get_paginator(operation).paginate(**params):
            yield from page.get(key, [])


def together(*calls: Callable[[], Any]) -> list[Any]:
    """The answers of all calls, made at the same time, in their order; the first error in that order is raised.

    Threads are daemons: an interrupted command ends at once instead of waiting for the slowest answer.
    """
    answers: SimpleQueue = SimpleQueue()

    def attempt(number: int, call: Callable[[], Any]) -> None:
        try:
            answers.put((number, call(), None))
        except BaseException as exc:
            answers.put((number, None, exc))

    for number, call in enumerate(calls):
        threading.Thread(target=attempt, args=(number, call), daemon=True).start()
    done = sorted((answers.get() for _ in calls), key=lambda answer: answer[0])
    for _, _, error in done:
        if error is not None:
            raise error
    return [value for _, value, _ in done]


def each_region[T](regions: Iterable[str], ask: Callable[[str], T]) -> tuple[dict[str, T], tuple[RegionFailure, ...]]:
    """Each region's answer, all asked at once, and the regions that failed. If every region fails, so does this."""

    def attempt(region: str) -> T | BootstrapError:
        try:
            return ask(region)
        except BootstrapError as exc:
            return exc

    asked = list(dict.fromkeys(regions))
    answers = dict(zip(asked, together(*(lambda r=r: attempt(r) for r in asked)), strict=True))
    failed = {r: a for r, a in answers.items() if isinstance(a, BootstrapError)}
    if asked and len(failed) == len(asked):
        raise _of_all(failed)
    found = {r: a for r, a in answers.items() if r not in failed}
    return found, tuple(RegionFailure(r, str(e)) for r, e in failed.items())


def _of_all(failed: dict[str, BootstrapError]) -> BootstrapError:
    """The first region's error, with every region's reason where there are several."""
    first = next(iter(failed.values()))
    reasons = tuple(RegionReason(region, str(error)) for region, error in failed.items())
    return first.with_facts(regions=reasons) if len(failed) > 1 else first


def _without_password(url: str) -> str:
    """The URL without a user and password, which must not end up in a log."""
    return re.sub(r"//[^/@]*@", "//", url)


def my_address(url: str | None = None, timeout: float = 5.0) -> str:
    """The caller's public address as AWS sees it. Raises BootstrapError when it cannot be found."""
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
