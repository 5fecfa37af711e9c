"""Every failure that is reported without a traceback, and the table of AWS's error codes (botocore's: aws_errors.py).

    BootstrapError          something the user can act on; exit code 1
      UsageError            usage error, nothing was changed; exit code 2
      IncompleteError       part of the work is done and still exists; exit code 3
        Interrupted         stopped by a signal; exit code 129, 130 or 143
      AwsError              AWS refused; carries AWS's own error code
        CapacityError       no capacity for this instance type, in this place, at this price
        QuotaError          the account's quota does not allow this many
        TransientError      throttled, broken or unreachable: the same request may succeed later
      SshError              SSH failed

An error's type fixes the exit code; its `code` is the stable word that scripts read. The words are
listed in docs/errors.md, and a test holds that list equal to the ones used here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack

from .invocation import PROFILE, PROGRAM

if TYPE_CHECKING:
    from .models import RegionReason, Resource, Result


class Details(TypedDict, total=False):
    """The fields of an ErrorReport that are known only after its error was raised."""

    hint: str | None
    resources: tuple[Resource, ...]
    regions: tuple[RegionReason, ...]


class SigtermReceived(KeyboardInterrupt):
    """SIGTERM, raised like Ctrl-C: code that catches errors does not stop it."""


class SighupReceived(KeyboardInterrupt):
    """SIGHUP: the terminal was closed."""


#: What ssh exits with when it failed itself, as its manual says; `ssh` and `exec` where this side failed.
SSH_FAILED = 255

#: What each signal raises, by its number.
SIGNALS: dict[int, type[KeyboardInterrupt]] = {1: SighupReceived, 2: KeyboardInterrupt, 15: SigtermReceived}


def interrupt_behind(exc: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an exception is or came from, the oldest of them; None if no signal is behind it.

    Click and a prompt at the terminal raise an exception of their own in place of it.
    """
    oldest = None
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:  # an error raised from itself would loop without end
        seen.add(id(exc))
        if isinstance(exc, KeyboardInterrupt):
            oldest = exc
        exc = exc.__cause__ or exc.__context__
    return oldest


class BootstrapError(Exception):
    """A failure shown as one line and, where one is known, a hint. Never a traceback."""

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        from .models import ErrorReport

        super().__init__(message)
        self.report = ErrorReport(code or self.code, message, hint)
        self.code = self.report.code
        #: What the command found or did before it failed: its document carries these keys too.
        self.result: Result | None = None

    @property
    def hint(self) -> str | None:
        """Return what to do about it."""
        return self.report.hint

    def add_details(self, **details: Unpack[Details]) -> BootstrapError:
        """Set these fields of this error's report; return the error itself."""
        from dataclasses import replace

        self.report = replace(self.report, **details)
        return self

    def attach_result(self, result: Result) -> BootstrapError:
        """Attach what is known of the command's result to this error; return the error itself."""
        self.result = result
        return self


class UsageError(BootstrapError):
    """The command line or the settings cannot work; nothing was changed."""

    exit_code = 2
    code = "usage"


class IncompleteError(BootstrapError):
    """Part of the work was done and still exists, or part of the answer is missing."""

    exit_code = 3
    code = "incomplete"


class Interrupted(IncompleteError):
    """A signal of the user or the system stopped the command."""

    code = "interrupted"

    def __init__(self, signal_number: int, *, hint: str | None = None) -> None:
        names = {1: "Stopped by SIGHUP.", 15: "Stopped by SIGTERM."}
        super().__init__(names.get(signal_number, "Interrupted."), hint=hint)
        self.exit_code = 128 + signal_number

    @classmethod
    def of(cls, exc: BaseException, *, hint: str | None = None) -> Interrupted:
        """Return the error for an interrupt: the signal that it came from decides the exit code."""
        number = 2
        for candidate, exception in SIGNALS.items():
            if type(interrupt_behind(exc)) is exception:
                number = candidate
        return cls(number, hint=hint)


class AwsError(BootstrapError):
    """AWS refused a call. `aws_code` is AWS's own error code."""

    code = "aws-error"

    def __init__(self, message: str, *, aws_code: str, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.aws_code = aws_code
        #: Whether AWS itself reported the error; if not, the request may have taken effect.
        self.outcome_known = True
        #: Whether the cause ends by itself: `launch --wait` waits for that.
        self.passes = self.code == "account-pending"


class CapacityError(AwsError):
    """No capacity for this instance type is available right now, in this place, at this price."""

    code = "no-capacity"


class QuotaError(AwsError):
    """The account's service quota does not allow the request."""

    code = "quota"


class TransientError(AwsError):
    """The call was throttled or lost; whether it took effect is not known."""

    code = "aws-unavailable"


class SshError(BootstrapError):
    """SSH failed: the local ssh, the connection, or the box."""

    code = "ssh-failed"


def is_denied_by_organization(error: BootstrapError) -> bool:
    """Return whether a policy of the account's organization (a service control policy) denies the call explicitly."""
    return isinstance(error, AwsError) and "explicit deny in a service control policy" in str(error)


class Known(NamedTuple):
    """How one of AWS's errors is reported. `message` None keeps AWS's own sentence."""

    error_class: type[AwsError] = AwsError
    code: str | None = None
    message: str | None = None
    hint: str | None = None


_DENIED = Known(
    code="access-denied",
    hint=f"Check your identity: aws sts get-caller-identity{PROFILE}\n"
    "Required permissions: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ec2-api-permissions.html",
)
#: No permission helps against it.
_ORGANIZATION = Known(
    code="access-denied",
    hint="A policy of your organization denies this. Such policies deny regions, or require tags: "
    f"--tag KEY=VALUE of launch and access\nCheck your identity: aws sts get-caller-identity{PROFILE}",
)
_EXPIRED = Known(
    code="expired-credentials",
    message="Your AWS credentials have expired, or this machine's clock is wrong.",
    hint=f"Renew them as you obtained them: aws login{PROFILE}\nOr, with IAM Identity Center: aws sso login{PROFILE}",
)
_INVALID = Known(
    code="invalid-credentials",
    message="AWS does not accept these credentials, or the region is not enabled for the account.",
    hint=f"Show the credentials in use: aws configure list{PROFILE}",
)
_CAPACITY = Known(CapacityError, hint="Try again later, or another --instance-type, another --region, or --on-demand.")
_PRICE = Known(CapacityError, hint="Raise --max-price, or try later or in another --region.")
_QUOTA = Known(QuotaError, hint=f"Request a higher quota: {PROGRAM} quota request --help")
#: AWS's codes for a request that was rejected before anything was done.
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

_BUSY = Known(TransientError, hint="AWS is busy; run the command again in a minute.")
_CLOCK = Known(
    code="expired-credentials",
    message="AWS refused the request as too old: this machine's clock seems to be wrong.",
    hint="Set the clock (timedatectl set-ntp true), then run the command again.",
)
_VERIFYING = Known(
    code="account-pending",
    message="AWS is still verifying this account, and starts no instance before that.",
    hint="This takes minutes, at most four hours. Run the command again later, or let it wait: launch --wait",
)
_NO_SUBNETS = Known(
    code="no-default-vpc",
    hint="Name a public subnet with --subnet-id.",  # start_instances adds a command, with the region
)
_FREE_PLAN = Known(
    code="account-plan",
    message="The account is on AWS's free plan, which has no GPU instances.",
    hint="Upgrade it to the paid plan: https://console.aws.amazon.com/billing/home#/account",
)

# To translate one more AWS error, add a row here. Codes:
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
KNOWN_CODES: dict[str, Known] = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    # EC2 reports expired session credentials by this code too, not only a wrong clock.
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
    "InsufficientFreeAddressesInSubnet": Known(CapacityError, hint="Pass another subnet: --subnet-id SUBNET"),
    "Unsupported": _CAPACITY,
    "SpotMaxPriceTooLow": _PRICE,
    "MaxSpotInstanceCountExceeded": _QUOTA,
    "VcpuLimitExceeded": _QUOTA,
    "InstanceLimitExceeded": _QUOTA,
    "VolumeLimitExceeded": Known(
        code="quota", hint="Request more EBS storage: https://console.aws.amazon.com/servicequotas/"
    ),
    **dict.fromkeys(sorted(THROTTLING_CODES), _BUSY),
    "RequestTimeout": _BUSY,
    "RequestTimeoutException": _BUSY,
    "InternalError": _BUSY,
    "InternalFailure": _BUSY,
    "InternalServerError": _BUSY,
    "ServiceUnavailable": _BUSY,
    "ServiceUnavailableException": _BUSY,
    "Unavailable": _BUSY,
    "InvalidInstanceType": Known(
        code="bad-instance-type",
        hint=f"List instance types: aws ec2 describe-instance-types{PROFILE} "
        "--filters Name=instance-type,Values='g4dn*'",
    ),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": Known(
        code="access-denied",
        hint="Have an administrator run once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    ),
    "InvalidInstanceID.NotFound": Known(code="not-found", hint=f"List your boxes: {PROGRAM} status"),
    "InvalidInstanceID.Malformed": Known(code="not-found", hint=f"List your boxes: {PROGRAM} status"),
    "IncorrectInstanceState": Known(hint=f"Its state is changing. Show it: {PROGRAM} status"),
    "InvalidSubnetID.NotFound": Known(code="not-found", hint=f"List your subnets: aws ec2 describe-subnets{PROFILE}"),
    "InvalidSubnet": Known(code="not-found", hint=f"List your subnets: aws ec2 describe-subnets{PROFILE}"),
    "InvalidAMIName.Duplicate": Known(code="image-exists", hint="Choose another name with --name."),
    "InvalidAMIID.NotFound": Known(code="not-found", hint="The image was withdrawn meanwhile. Run the command again."),
    "InvalidVolume.NotFound": Known(code="not-found", hint=f"List your boxes: {PROGRAM} status"),
    "InvalidSnapshot.InUse": Known(code="snapshot-in-use", hint="An image uses it. Delete the image first."),
    "InvalidSnapshot.NotFound": Known(code="not-found", hint=f"List your snapshots: {PROGRAM} volume ls"),
    "VolumeModificationRateExceeded": Known(
        code="volume-busy",
        message="A volume can be modified once in six hours.",
        hint="Run the command again when six hours have passed since its last change.",
    ),
    "ResourceAlreadyExistsException": Known(
        code="quota-pending",
        message="A request for this quota is already open.",
        hint=f"Show the request: {PROGRAM} quota history",
    ),
    "QuotaExceededException": Known(
        code="quota-pending",
        message="Too many quota requests of this account are open.",
        hint=f"Wait until AWS has decided some of them: {PROGRAM} quota history --status PENDING",
    ),
    "InvalidResourceStateException": Known(code="quota-pending", hint=f"Show the request: {PROGRAM} quota history"),
    "NoSuchResourceException": Known(code="not-found", hint=f"List the available quotas: {PROGRAM} quota show"),
    "IllegalArgumentException": Known(code="bad-quota-value", hint=f"Show the quotas: {PROGRAM} quota show"),
    "DependencyAccessDeniedException": _DENIED,
    "ServiceException": _BUSY,
    "RulesPerSecurityGroupLimitExceeded": Known(
        code="quota", hint=f"Remove unused rules: aws ec2 describe-security-group-rules{PROFILE}"
    ),
    "InvalidPermission.NotFound": Known(
        code="not-found", hint="The rule was deleted meanwhile. Run the command again."
    ),
    "InvalidGroup.NotFound": Known(code="not-found", hint="The group was deleted meanwhile. Run the command again."),
    "OperationNotPermitted": Known(
        code="protected",
        hint=f"Remove the protection: aws ec2 modify-instance-attribute{PROFILE} --no-disable-api-termination "
        "--instance-id ID",
    ),
}

#: What AWS reports by a code that it has for many errors: the code, a part of its sentence, the row.
KNOWN_SENTENCES = (
    ("InvalidParameterCombination", "not eligible for Free Tier", _FREE_PLAN),
    ("MissingInput", "No subnets found", _NO_SUBNETS),
    ("UnauthorizedOperation", "explicit deny in a service control policy", _ORGANIZATION),
    ("AccessDeniedException", "explicit deny in a service control policy", _ORGANIZATION),
)


def unexpected_reply(cause: Exception) -> AwsError:
    """Return the error for a reply of AWS that lacks a key or cannot be read. The outcome of the call is not known."""
    what = f"it lacks {cause}" if isinstance(cause, KeyError) else f"{type(cause).__name__}: {cause}"
    error = AwsError(
        f"AWS's reply could not be read: {what}.",
        aws_code=type(cause).__name__,
        hint="Run the command again. If it happens again, report what --debug shows.",
        code="unexpected-reply",
    )
    error.outcome_known = False
    return error
