"""Which regions botocore knows, and the errors that may be about a region's name."""

from __future__ import annotations

import difflib
import os

from .errors import AwsError, BootstrapError
from .invocation import PROFILE, PROGRAM

#: Enabled in every account; it cannot be disabled.
ALWAYS_ENABLED = "us-east-1"
#: How similar a name must be to be proposed: one letter left out, added or replaced, or two exchanged.
_SIMILAR = 0.85
_CREDENTIALS = (
    "They come from AWS_ACCESS_KEY_ID, or from a profile in ~/.aws. The AWS CLI shows which: "
    f"aws configure list{PROFILE}"
)
_COMPARISON = f"Try the credentials in a region that every account has: {PROGRAM} status --region {ALWAYS_ENABLED}"
_ENABLING = "https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"
#: botocore's exception where the name of EC2's endpoint in the region cannot be resolved.
_NO_ADDRESS = "EndpointConnectionError"
_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def with_region_named(error: BootstrapError, region: str) -> BootstrapError:
    """Return the error of a call in this region: with the region's name, where that may be the cause.

    A region that botocore does not know may be new, so it is looked up only after its call has failed.
    """
    if not isinstance(error, AwsError):
        return error
    is_refused = error.code == "invalid-credentials"
    if not is_refused and error.aws_code != _NO_ADDRESS:
        return error
    known = _known_regions()
    if region not in known:
        explained = _unknown(region, known, is_refused=is_refused)
    elif is_refused:
        explained = _refused(error, region)
    else:
        return error
    explained.outcome_known = error.outcome_known
    return explained


def _known_regions() -> list[str]:
    """Return the regions of EC2 in botocore's own list, which is as old as botocore."""
    from botocore.session import Session

    return list(Session().get_available_regions("ec2"))


def _refused(error: AwsError, region: str) -> AwsError:
    """Return the error for credentials that a region refuses. A region that is not enabled answers the same."""
    message = f"AWS does not accept these credentials in {region}"
    hint = _CREDENTIALS
    if region != ALWAYS_ENABLED:
        message += ", or the region is not enabled for the account"
        hint = f"{_COMPARISON}\n{_CREDENTIALS}\nEnable a region: {_ENABLING}"
    return AwsError(f"{message}.", aws_code=error.aws_code, hint=hint, code=error.code)


def _unknown(region: str, known: list[str], *, is_refused: bool) -> AwsError:
    """Return the error for a region that botocore does not know."""
    failure = f"There is no address of a region {region}"
    if is_refused:
        failure = f"AWS refuses calls in a region {region}"
    similar = difflib.get_close_matches(region, known, n=2, cutoff=_SIMILAR)
    hint = []
    if similar:
        hint.append(f"Did you mean {' or '.join(similar)}?")
    hint.append(_choice(region, [*similar, ALWAYS_ENABLED][0]))
    if is_refused:
        hint.append(f"If it is a new region, enable it: {_ENABLING}")
    message = f"{failure}, and boto3 knows no region of that name."
    return AwsError(message, aws_code="UnknownRegion", hint="\n".join(hint), code="bad-region")


def _choice(region: str, other: str) -> str:
    """Return how to choose the other region, where this one comes from."""
    for variable in _VARIABLES:
        if os.environ.get(variable) == region:
            return f"Choose another region: export {variable}={other}"
    return f"Choose another region: --region {other}\nOr correct the region of your profile, if it names this one."
