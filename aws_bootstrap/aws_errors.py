"""Translate the errors of AWS and botocore: KNOWN_EXCEPTIONS has botocore's own, most of them about credentials."""

from __future__ import annotations

from .errors import KNOWN_CODES, KNOWN_SENTENCES, AwsError, Known, TransientError
from .invocation import PROFILE, PROGRAM

_BUSY = KNOWN_CODES["InternalError"]
_UNREACHABLE = Known(
    TransientError,
    code="unreachable",
    hint=f"Check the region's name and this machine's network: aws sts get-caller-identity{PROFILE}",
)
_NO_CREDENTIALS = Known(
    code="no-credentials",
    message="No AWS credentials found.",
    hint=f"Sign in with the AWS CLI: aws login{PROFILE}\nOr save an access key: aws configure{PROFILE}\n"
    f"Or try it without an account: {PROGRAM} --sandbox launch",
)
_SSO = Known(
    code="expired-credentials", message="Your AWS SSO session has expired.", hint=f"Renew it: aws sso login{PROFILE}"
)

_LOGIN = Known(
    code="expired-credentials",
    message="Your AWS login session has ended, or your credentials have changed.",
    hint=f"Sign in again: aws login{PROFILE}",
)
_BAD_CONFIG = Known(code="bad-aws-config", hint=f"Show the configuration in use: aws configure list{PROFILE}")

# botocore's own exceptions, by class name, so that this table does not cost its import.
KNOWN_EXCEPTIONS: dict[str, Known] = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "CredentialRetrievalError": Known(
        code="no-credentials", hint=f"Show where they come from: aws configure list{PROFILE}"
    ),
    "PartialCredentialsError": Known(code="partial-credentials", hint=f"Complete them: aws configure{PROFILE}"),
    "ProfileNotFound": Known(code="no-profile", hint="List your profiles: aws configure list-profiles"),
    "ConfigParseError": Known(code="bad-aws-config", hint="Fix the file named above; its format: aws help config-vars"),
    "ConfigNotFound": Known(
        code="bad-aws-config", hint=f"Check AWS_CONFIG_FILE, or create the file: aws configure{PROFILE}"
    ),
    "SSOTokenLoadError": _SSO,
    "UnauthorizedSSOTokenError": _SSO,
    "TokenRetrievalError": _SSO,
    "SSOError": _SSO,
    "NoAuthTokenError": _SSO,
    "LoginError": _LOGIN,
    "LoginRefreshRequired": _LOGIN,
    "LoginTokenLoadError": Known(
        code="expired-credentials",
        message="This machine has no usable AWS login session.",
        hint=f"Sign in: aws login{PROFILE}",
    ),
    "LoginAuthorizationCodeError": Known(
        code="expired-credentials",
        message="The AWS login was not completed.",
        hint=f"Sign in again: aws login{PROFILE}",
    ),
    "LoginInsufficientPermissions": Known(
        code="access-denied",
        message="Your AWS user may not use aws login: it lacks the action signin:CreateOAuth2Token.",
        hint="Have an administrator attach the policy to your user: "
        "arn:aws:iam::aws:policy/SignInLocalDevelopmentAccess\n"
        f"Then sign in again: aws login{PROFILE}",
    ),
    # Of this program's calls, only the ones of an `aws login` session need the package.
    "MissingDependencyException": Known(
        code="no-crt",
        message="An AWS login session needs the Python package awscrt, which is missing or disabled here.",
        hint="Install this program again, with its dependencies. If BOTO_DISABLE_CRT is set: unset BOTO_DISABLE_CRT\n"
        f"Or use other credentials: aws configure{PROFILE}",
    ),
    "RefreshWithMFAUnsupportedError": Known(
        code="expired-credentials",
        message="Your AWS credentials have expired, and renewing them needs an MFA code.",
        hint="Run the command again, and enter the code.",
    ),
    "MetadataRetrievalError": Known(
        code="no-credentials", hint=f"Show where the credentials come from: aws configure list{PROFILE}"
    ),
    "InvalidConfigError": _BAD_CONFIG,
    "UnknownCredentialError": _BAD_CONFIG,
    "UnknownTokenProviderError": _BAD_CONFIG,
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


def to_aws_error(name: str, message: str) -> AwsError:
    """Return the AwsError for AWS's error code, or botocore's exception class, of that name.

    Its hint may hold marks of printed commands (invocation.py), which the console fills in.
    """
    # A proxy's or gateway's HTML page carries no AWS error code: botocore gives the HTTP status instead.
    gateway = _BUSY if name.isdigit() and int(name) >= 500 else None
    known = KNOWN_CODES.get(name) or KNOWN_EXCEPTIONS.get(name) or gateway or Known()
    for code, part, row in KNOWN_SENTENCES:
        if code == name and part in message:
            known = row
    sentence = known.message or _without_code(message)
    return known.error_class(sentence, aws_code=name, hint=known.hint, code=known.code)


def _without_code(message: str) -> str:
    """Return AWS's sentence without the code for administrators at its end. --debug shows botocore's error with it."""
    sentence, _, _ = message.partition(" Encoded authorization failure message")
    return sentence
