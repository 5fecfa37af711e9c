"""The only module that imports boto3: sessions, clients, retries, errors, and many regions at once."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from . import silence, timings
from .aws_clients import ClientMaker, import_botocore, new_botocore_session, without_s3transfer
from .aws_errors import KNOWN_EXCEPTIONS, to_aws_error
from .config import DEFAULT_REGION
from .errors import BootstrapError, UsageError, is_denied_by_organization, unexpected_reply
from .models import RegionFailure, RegionReason
from .parallel import WAKE_SECONDS, map_parallel
from .region_names import with_region_named
from .silence import SILENCE

if TYPE_CHECKING:
    import boto3
    from types_boto3_ec2 import EC2Client
    from types_boto3_pricing import PricingClient
    from types_boto3_service_quotas import ServiceQuotasClient

PRICING_REGION = "us-east-1"

#: How the regions of the other partitions begin: China, GovCloud, the isolated ones, the European Sovereign Cloud.
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")

#: For how long a region may owe an answer after the last one that came from any. Any answer counts, a refusal too.
#: AWS_BOOTSTRAP_REGION_TIMEOUT sets another.
REGION_SECONDS = 10.0
#: So many times longer while fewer than half of the regions have answered: it may be this machine's own network.
_ALONE = 3
#: Seconds that one attempt waits for a connection, and for an answer.
TIMEOUTS: Mapping[str, float] = {"connect_timeout": 5, "read_timeout": 20}


class Aws:
    """Clients for one profile. Each is created at its first use, once per service and region."""

    def __init__(
        self, profile: str | None = None, timeouts: Mapping[str, float] = TIMEOUTS, *, region: str | None = None
    ) -> None:
        self.profile = profile
        self._configured_region = region
        self._timeouts = timeouts
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._maker = ClientMaker()
        self._lock = threading.RLock()
        self._existing_session: boto3.Session | None = None

    @property
    def region(self) -> str:
        """Return the region of the environment, a config file or the profile, else the default.

        botocore does not read AWS_REGION.
        """
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or self._configured_region
        return named or self._session.region_name or DEFAULT_REGION

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown: the secret key and session token in use, as far as known. No call."""
        found = [os.environ.get("AWS_SECRET_ACCESS_KEY"), os.environ.get("AWS_SESSION_TOKEN")]
        # The attributes are botocore's own: its properties would renew credentials that have expired.
        credentials = getattr(getattr(self._existing_session, "_session", None), "_credentials", None)
        if credentials:
            for name in ("secret_key", "token", "_secret_key", "_token"):
                found.append(vars(credentials).get(name))
        return tuple(secret for secret in found if secret)

    def ec2(self, region: str) -> EC2Client:
        """Return the EC2 client of a region, with the SDK's standard retries."""
        client: EC2Client = self._client("ec2", region, retry=True)
        return client

    def ec2_once(self, region: str) -> EC2Client:
        """Return an EC2 client that sends each request once.

        For RunInstances: EC2 reports missing capacity as HTTP 500, which the SDK would send again in silence.
        """
        client: EC2Client = self._client("ec2", region, retry=False)
        return client

    def pricing(self) -> PricingClient:
        """Return the client of AWS's price list."""
        client: PricingClient = self._client("pricing", PRICING_REGION, retry=True)
        return client

    def service_quotas(self, region: str) -> ServiceQuotasClient:
        """Return the Service Quotas client of a region."""
        client: ServiceQuotasClient = self._client("service-quotas", region, retry=True)
        return client

    def user_id(self, region: str) -> str:
        """Return the unique id of the caller, which policies call `aws:userid`, as STS in this region reports it."""
        reply = self._client("sts", region, retry=True).get_caller_identity()
        return str(reply["UserId"])

    def regions(self) -> list[str]:
        """Return the regions enabled for the account."""
        return call_region(self.region, self._enabled_regions)

    def _enabled_regions(self, region: str) -> list[str]:
        reply = self.ec2(region).describe_regions(AllRegions=False)
        return sorted(described["RegionName"] for described in reply["Regions"])

    @property
    def _session(self) -> boto3.Session:
        """Return the session of the profile, created at its first use."""
        with self._lock:
            if self._existing_session is None:
                import_botocore()
                _import_boto3()
                import boto3

                with translate_aws_errors(reading=False):
                    core = new_botocore_session()
                    self._existing_session = boto3.Session(profile_name=self.profile, botocore_session=core)
            return self._existing_session

    def _client(self, service: str, region: str, *, retry: bool) -> Any:
        key = (service, region, retry)
        with self._lock:  # sessions are not thread-safe; clients are
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region, retry)
            return self._clients[key]

    def _new_client(self, service: str, region: str, retry: bool) -> Any:
        _check_partition(region)
        import_botocore()
        from botocore.config import Config

        settings: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": 5 if retry else 1},
            "user_agent_extra": "aws-bootstrap",
            "max_pool_connections": 20,
            **self._timeouts,
        }
        with translate_aws_errors(reading=False):
            client = self._maker.new_client(self._session, service, region, Config(**settings))
        SILENCE.watch(client)
        timings.watch(client)
        return client


def _import_boto3() -> None:
    """Import boto3, if possible without what this program never uses."""
    with contextlib.suppress(ImportError, AttributeError), without_s3transfer():
        import boto3  # noqa: F401 (what matters is what it finds)


def _check_partition(region: str) -> None:
    """Raise UsageError for a region of GovCloud, China or another partition: accounts, prices and images differ there.

    Without it the first call fails with a sentence on credentials.
    """
    if region.startswith(OTHER_PARTITIONS):
        raise UsageError(
            f"The region {region} is not in the AWS partition `aws`, the only one that this tool supports.",
            hint="Choose another region: --region us-west-2",
            code="bad-region",
        )


@contextlib.contextmanager
def translate_aws_errors(*, reading: bool = True) -> Iterator[None]:
    """Raise a BootstrapError in place of botocore's exceptions. Also a decorator: `@translate_aws_errors()`.

    `reading`: the block reads AWS's reply as well; what that lacks is an error `unexpected-reply`.
    """
    import_botocore()
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as exc:
        reported = exc.response.get("Error", {})
        raise to_aws_error(reported.get("Code", ""), reported.get("Message") or str(exc)) from exc
    except (BotoCoreError, ResponseParserError) as exc:
        error = to_aws_error(_known_name(exc), str(exc))
        error.outcome_known = False
        raise error from exc
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as exc:
        if _in_login_session(exc):
            raise to_aws_error("LoginTokenLoadError", str(exc)) from exc
        if not reading or isinstance(exc, RuntimeError):
            raise
        raise unexpected_reply(exc) from exc


def _in_login_session(exc: BaseException) -> bool:
    """Return whether botocore failed on the saved session of `aws login`, which it reads with few checks."""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        if frame.f_code.co_qualname.startswith("LoginCredentialFetcher."):
            return True
    return False


def _known_name(exc: Exception) -> str:
    """Return the name of the exception's nearest class in KNOWN_EXCEPTIONS; that of its own class if none is there."""
    for error_class in type(exc).__mro__:
        if error_class.__name__ in KNOWN_EXCEPTIONS:
            return error_class.__name__
    return type(exc).__name__


#: The result of each region that answered, and the regions that failed.
type Answers[T] = tuple[dict[str, T], tuple[RegionFailure, ...]]


def each_region[T](regions: Iterable[str], call: Callable[[str], T]) -> Answers[T]:
    """Return each region's result, read at the same time, and the regions that failed. Raise if every region fails.

    A region that falls silent counts as failed, and is reported at once. So this is for reading alone: what an
    unanswered request may have changed would not be known. `change_each_region` waits for every region.
    """
    return _by_outcome(call_each_region(regions, call))


def call_each_region[T](regions: Iterable[str], call: Callable[[str], T]) -> dict[str, T | BootstrapError]:
    """Return each region's result, or in its place the error that it ended with. Otherwise as `each_region`."""
    names = list(dict.fromkeys(regions))
    timeout = _region_timeout()

    def limit(answered: int) -> float:
        if 2 * answered < len(names):
            return _ALONE * timeout
        return timeout

    return _until_silent(names, partial(_caught, call), limit, given_up=_report_silent)


def call_region[T](region: str, call: Callable[[str], T]) -> T:
    """Return one region's result. Raise its error; AwsError `unreachable` if it falls silent. As `each_region`."""
    answers, _ = each_region([region], call)
    return answers[region]


def without_waiting[T](region: str, call: Callable[[str], T]) -> T:
    """Return the region's result of a call that can be done without. AwsError `unreachable` if it falls silent.

    It is given up in half the time after which the region itself would be, so that it does not hide what else was read.
    """
    seconds = _region_timeout() / 2

    def limit(answered: int) -> float:
        return seconds

    answer = _until_silent([region], partial(_caught, call), limit)[region]
    if isinstance(answer, BootstrapError):
        raise answer
    return answer


def change_each_region[T](regions: Iterable[str], change: Callable[[str], T]) -> Answers[T]:
    """Return as `each_region` the results of calls that change something: each region is waited for to its end."""
    names = list(dict.fromkeys(regions))
    answers = map_parallel(partial(_caught, change), names)
    return _by_outcome(dict(zip(names, answers, strict=True)))


def _caught[T](call: Callable[[str], T], region: str) -> T | BootstrapError:
    """Return the region's result, or the BootstrapError in place of it."""
    try:
        with translate_aws_errors():
            return call(region)
    except BootstrapError as exc:
        return with_region_named(exc, region)


def _report_nothing(region: str) -> None:
    pass


def _until_silent[T](
    regions: list[str],
    attempt: Callable[[str], T | BootstrapError],
    limit: Callable[[int], float],
    given_up: Callable[[str], None] = _report_nothing,
) -> dict[str, T | BootstrapError]:
    """Return each region's result; an error in place of it where the region owes one for too long.

    `limit`: how long is too long, in seconds, given how many have answered. `given_up` is called at once.
    """
    results: dict[str, T | BootstrapError] = {}
    bugs: dict[str, BaseException] = {}
    ended: SimpleQueue[str] = SimpleQueue()

    def run(region: str) -> None:
        try:
            results[region] = attempt(region)
        except BaseException as exc:
            bugs[region] = exc
        ended.put(region)

    for region in regions:
        threading.Thread(target=run, args=(region,), daemon=True).start()
    answers: dict[str, T | BootstrapError] = {}
    while len(answers) < len(regions):
        with contextlib.suppress(Empty):
            region = ended.get(timeout=WAKE_SECONDS)
            if region in bugs:
                raise bugs[region]
            answers[region] = results[region]
        seconds = limit(len(answers))
        for region in regions:
            if region not in answers and SILENCE.seconds(region) > seconds:
                given_up(region)
                answers[region] = to_aws_error("ReadTimeoutError", f"no answer within {seconds:g} s")
    return {region: answers[region] for region in regions}


def _report_silent(region: str) -> None:
    silence.report(f"{region} does not answer; going on without it")


def _region_timeout() -> float:
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
    """Return the results, and the failures. Raise the first error if all failed."""
    found: dict[str, T] = {}
    failed: dict[str, BootstrapError] = {}
    for region, answer in answers.items():
        if isinstance(answer, BootstrapError):
            failed[region] = answer
        else:
            found[region] = answer
    if answers and not found:
        raise _of_all(failed)
    failures = [_failure(region, error) for region, error in failed.items()]
    return found, tuple(failures)


def _failure(region: str, error: BootstrapError) -> RegionFailure:
    """Return why the region failed."""
    return RegionFailure(region, str(error), is_denied=is_denied_by_organization(error))


def _of_all(failed: dict[str, BootstrapError]) -> BootstrapError:
    """Return the first region's error, with every region's reason where there are several."""
    first, *others = failed.values()
    if not others:
        return first
    reasons = [RegionReason(region, str(error)) for region, error in failed.items()]
    return first.add_details(regions=tuple(reasons))
