"""Every failure we can explain, and the table that explains AWS's.

    BootstrapError          something the user can act on; exit code 1
      UsageError            the command was put wrongly; exit code 2
      IncompleteError       part of it was done and still exists; exit code 3
        Interrupted         stopped by a signal; exit code 129, 130 or 143
      AwsError              AWS refused; carries AWS's own error code
        CapacityError       no machines of this kind here, now, at this price
        QuotaError          the account may not have this many
        TransientError      throttled, broken or unreachable: the same request may go through later
      SshError              the box does not answer as hoped

An error's type fixes the exit code; its `code` is the stable word that scripts read. The words are
listed in docs/errors.md, and a test holds that list equal to the ones used here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .invocation import PROFILE, PROGRAM
from .models import RegionReason, Resource, Result


@dataclass(frozen=True)
class ErrorReport:
    """The `error` object of a failed command's document (contract §1)."""

    code: str
    message: str
    hint: str | None = None
    resources: tuple[Resource, ...] = ()
    regions: tuple[RegionReason, ...] = ()


class Terminated(KeyboardInterrupt):
    """SIGTERM, told like Ctrl-C: nothing that catches errors stops it on its way."""


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal is gone."""


SIGNALS: dict[int, type[KeyboardInterrupt]] = {1: HungUp, 2: KeyboardInterrupt, 15: Terminated}
"""What each signal raises, by its number."""


def interrupt_behind(exc: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that an exception is or came from, the oldest of them; None if no signal is behind it.

    Click and a question at the terminal make an exception of their own of it.
    """
    oldest = None
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:  # an error raised from itself would be gone round for ever
        seen.add(id(exc))
        if isinstance(exc, KeyboardInterrupt):
            oldest = exc
        exc = exc.__cause__ or exc.__context__
    return oldest


class BootstrapError(Exception):
    """A failure shown as one line and, where we know one, what to do about it. Never a traceback."""

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.report = ErrorReport(code or self.code, message, hint)
        self.code = self.report.code
        self.result: Result | None = None
        """What the command found or did before it failed: its document carries these keys too."""

    @property
    def hint(self) -> str | None:
        """What to do about it."""
        return self.report.hint

    def with_facts(self, **facts: Any) -> BootstrapError:
        """This error, its report completed by `resources`, `regions`, `hint`, …; the error itself comes back."""
        self.report = replace(self.report, **facts)
        return self

    def with_result(self, result: Result) -> BootstrapError:
        """This error, carrying what is known of the command's result; the error itself comes back."""
        self.result = result
        return self


class UsageError(BootstrapError):
    """The command was put in a way that cannot work; nothing was tried."""

    exit_code = 2
    code = "usage"


class IncompleteError(BootstrapError):
    """Part of the work was done and still exists, or part of the answer is missing."""

    exit_code = 3
    code = "incomplete"


class Interrupted(IncompleteError):
    """The user (or the system) stopped us."""

    code = "interrupted"

    def __init__(self, signal_number: int, **kwargs: Any) -> None:
        names = {1: "Stopped by SIGHUP.", 15: "Stopped by SIGTERM."}
        super().__init__(names.get(signal_number, "Interrupted."), **kwargs)
        self.exit_code = 128 + signal_number

    @classmethod
    def of(cls, exc: BaseException, **kwargs: Any) -> Interrupted:
        """The error for an interrupt: the signal that it came from decides the exit code."""
        number = 2
        for candidate, kind in SIGNALS.items():
            if type(interrupt_behind(exc)) is kind:
                number = candidate
        return cls(number, **kwargs)


class AwsError(BootstrapError):
    """AWS refused a call. `aws_code` is AWS's own word for it."""

    code = "aws-error"

    def __init__(self, message: str, *, aws_code: str, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.aws_code = aws_code
        self.answered = True
        """Whether AWS itself said so; if not, the request may have taken effect."""


class CapacityError(AwsError):
    """AWS has none of this instance type to give, here and now, at this price."""

    code = "no-capacity"


class QuotaError(AwsError):
    """The account's service quota does not allow it."""

    code = "quota"


class TransientError(AwsError):
    """The call was throttled or lost; whether it took effect is not known."""

    code = "aws-unavailable"


class SshError(BootstrapError):
    """The box, or the local ssh, does not do as hoped."""

    code = "ssh-failed"


@dataclass(frozen=True)
class Known:
    """What a foreign error means to us. `message` None keeps AWS's own sentence."""

    kind: type[AwsError] = AwsError
    code: str | None = None
    message: str | None = None
    hint: str | None = None


_DENIED = Known(
    code="access-denied",
    hint="See who you are: aws sts get-caller-identity\n"
    "Which permission an action needs: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ec2-api-permissions.html",
)
_EXPIRED = Known(
    code="expired-credentials",
    message="Your AWS credentials have expired, or this machine's clock is wrong.",
    hint=f"Renew them: aws sso login{PROFILE}  (or however you got them), then run the command again.",
)
_INVALID = Known(
    code="invalid-credentials",
    message="AWS does not accept these credentials, or the region is not enabled for the account.",
    hint=f"See which are used with: aws configure list{PROFILE}\nSee the enabled regions with: "
    "aws account list-regions",
)
_CAPACITY = Known(CapacityError, hint="Try later, another --instance-type, another --region, or --on-demand.")
_PRICE = Known(CapacityError, hint="Raise --max-price, or try later or in another --region.")
_QUOTA = Known(QuotaError, hint=f"Ask for more with: {PROGRAM} quota request --help")
THROTTLING_CODES = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""AWS's codes for a request that was turned away before anything was done."""

_BUSY = Known(TransientError, hint="AWS is busy; run the command again in a minute.")
_CLOCK = Known(
    code="expired-credentials",
    message="AWS refused the request as too old: this machine's clock seems to be wrong.",
    hint="Set the clock (timedatectl set-ntp true), then run the command again.",
)
_VERIFYING = Known(
    code="account-pending",
    hint="New accounts are verified by AWS, usually within minutes, at most four hours. Run the command again later.",
)

# To explain one more AWS error, add one more line here. Codes:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
KNOWN_CODES: dict[str, Known] = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    # EC2 says this of expired session credentials, too, not only of a wrong clock.
    "RequestExpired": _EXPIRED,
    "RequestTimeTooSkewed": _CLOCK,
    "AuthFailure": _INVALID,
    "InvalidClientTokenId": _INVALID,
    "UnrecognizedClientException": _INVALID,
    "SignatureDoesNotMatch": _INVALID,
    "InvalidSignatureException": _INVALID,
    "IncompleteSignature": _INVALID,
    "UnauthorizedOperation": _DENIED,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "OptInRequired": Known(code="access-denied", hint="Enable the region or product for the account, then run again."),
    "PendingVerification": _VERIFYING,
    "PendingAccountVerification": _VERIFYING,
    "Blocked": Known(code="access-denied", hint="AWS has blocked the account: https://repost.aws/knowledge-center"),
    "InsufficientInstanceCapacity": _CAPACITY,
    "InsufficientHostCapacity": _CAPACITY,
    "InsufficientReservedInstanceCapacity": _CAPACITY,
    "InsufficientCapacity": _CAPACITY,
    "UnfulfillableCapacity": _CAPACITY,
    "Unsupported": _CAPACITY,
    "SpotMaxPriceTooLow": _PRICE,
    "MaxSpotInstanceCountExceeded": _QUOTA,
    "VcpuLimitExceeded": _QUOTA,
    "InstanceLimitExceeded": _QUOTA,
    "VolumeLimitExceeded": Known(
        code="quota", hint="Ask for more EBS storage at: https://console.aws.amazon.com/servicequotas/"
    ),
    "RequestLimitExceeded": _BUSY,
    "EC2ThrottledException": _BUSY,
    "ThrottledException": _BUSY,
    "RequestThrottled": _BUSY,
    "RequestThrottledException": _BUSY,
    "RequestTimeout": _BUSY,
    "RequestTimeoutException": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TooManyRequestsException": _BUSY,
    "InternalError": _BUSY,
    "InternalFailure": _BUSY,
    "InternalServerError": _BUSY,
    "ServiceUnavailable": _BUSY,
    "ServiceUnavailableException": _BUSY,
    "Unavailable": _BUSY,
    "InvalidInstanceType": Known(
        code="bad-instance-type",
        hint="List what a region offers: aws ec2 describe-instance-types --filters Name=instance-type,Values='g4dn*'",
    ),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": Known(
        code="access-denied",
        hint="Have an administrator run once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    ),
    "InvalidInstanceID.NotFound": Known(code="not-found", hint=f"List yours with: {PROGRAM} status"),
    "InvalidInstanceID.Malformed": Known(code="not-found", hint=f"List yours with: {PROGRAM} status"),
    "InvalidSubnetID.NotFound": Known(code="not-found", hint="List yours with: aws ec2 describe-subnets"),
    "InvalidSubnet": Known(code="not-found", hint="List yours with: aws ec2 describe-subnets"),
    "InvalidAMIID.NotFound": Known(code="not-found", hint="Run the command again: the image was withdrawn just now."),
    "InvalidVolume.NotFound": Known(code="not-found", hint=f"List yours with: {PROGRAM} status"),
    "ResourceAlreadyExistsException": Known(
        code="quota-pending",
        message="A request for this quota is open already.",
        hint=f"See what became of it: {PROGRAM} quota history",
    ),
    "QuotaExceededException": Known(
        code="quota-pending",
        message="Too many quota requests of this account are open.",
        hint=f"Wait until AWS has decided some; see them with: {PROGRAM} quota history --status PENDING",
    ),
    "InvalidResourceStateException": Known(
        code="quota-pending", hint=f"See what became of it: {PROGRAM} quota history"
    ),
    "NoSuchResourceException": Known(code="not-found", hint=f"See the quotas there are: {PROGRAM} quota show"),
    "IllegalArgumentException": Known(code="bad-quota-value", hint=f"See the quotas: {PROGRAM} quota show"),
    "DependencyAccessDeniedException": _DENIED,
    "ServiceException": _BUSY,
    "RulesPerSecurityGroupLimitExceeded": Known(
        code="quota", hint="Remove rules that nobody needs: aws ec2 describe-security-group-rules"
    ),
    "InvalidPermission.NotFound": Known(code="not-found", hint="Run the command again: the rule went just now."),
    "InvalidGroup.NotFound": Known(code="not-found", hint="Run the command again: the group went just now."),
    "OperationNotPermitted": Known(
        code="protected",
        hint="Lift the protection: aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id ID",
    ),
}

_UNREACHABLE = Known(
    TransientError,
    code="unreachable",
    hint="Is the region's name right, and is this machine online?",
)
_NO_CREDENTIALS = Known(
    code="no-credentials",
    message="No AWS credentials found.",
    hint=f"Set them up with: aws configure{PROFILE}\nor rehearse without an account: {PROGRAM} --sandbox launch",
)
_SSO = Known(
    code="expired-credentials", message="Your AWS SSO session has expired.", hint=f"Renew it: aws sso login{PROFILE}"
)

# botocore's own exceptions, by class name, so that this table does not cost its import.
KNOWN_EXCEPTIONS: dict[str, Known] = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "CredentialRetrievalError": Known(
        code="no-credentials", hint=f"See where they come from with: aws configure list{PROFILE}"
    ),
    "PartialCredentialsError": Known(code="partial-credentials", hint=f"Complete them with: aws configure{PROFILE}"),
    "ProfileNotFound": Known(code="no-profile", hint="List your profiles with: aws configure list-profiles"),
    "ConfigParseError": Known(
        code="bad-aws-config", hint="Mend the file named above; its format: aws help config-vars"
    ),
    "ConfigNotFound": Known(code="bad-aws-config", hint="Check AWS_CONFIG_FILE, or make the file with: aws configure"),
    "SSOTokenLoadError": _SSO,
    "UnauthorizedSSOTokenError": _SSO,
    "TokenRetrievalError": _SSO,
    "SSOError": _SSO,
    "InvalidRegionError": Known(code="bad-region", hint="Regions look like us-west-2."),
    "EndpointConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _UNREACHABLE,
    "ConnectionClosedError": _UNREACHABLE,
    "ReadTimeoutError": _UNREACHABLE,
    "ProxyConnectionError": _UNREACHABLE,
    "SSLError": Known(
        TransientError, code="unreachable", hint="Behind a company proxy? Set AWS_CA_BUNDLE to its certificate file."
    ),
    "HTTPClientError": _UNREACHABLE,
    "ResponseParserError": _BUSY,
    "WaiterError": _BUSY,
}


def unexpected_reply(cause: Exception) -> AwsError:
    """The error for a reply of AWS's that lacks something, or holds what cannot be read. What it did is not known."""
    what = f"it lacks {cause}" if isinstance(cause, KeyError) else f"{type(cause).__name__}: {cause}"
    error = AwsError(
        f"AWS's reply could not be read: {what}.",
        aws_code=type(cause).__name__,
        hint="Run the command again. If it happens again, report what --debug shows.",
        code="unexpected-reply",
    )
    error.answered = False
    return error


def explain(name: str, message: str) -> AwsError:
    """Our error for AWS's error code, or botocore's exception class, of that name.

    Its hint may hold marks of printed commands (invocation.py), which the console fills in.
    """
    # A proxy's or gateway's HTML page carries no code of AWS's: botocore gives the HTTP status instead.
    gateway = _BUSY if name.isdigit() and int(name) >= 500 else None
    known = KNOWN_CODES.get(name) or KNOWN_EXCEPTIONS.get(name) or gateway or Known()
    return known.kind(known.message or message, aws_code=name, hint=known.hint, code=known.code)
