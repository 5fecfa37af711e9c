"""What tests of EC2's verbs say to a Stubber, and expect of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from aws_bootstrap.errors import AwsError

#: The filter by which this tool finds what it created.
OURS = {"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}


@contextlib.contextmanager
def refused(code: str) -> Iterator[None]:
    """Expect the error of a call that EC2 refuses with this code."""
    with pytest.raises(AwsError) as caught:
        yield
    assert caught.value.aws_code == code


def specified(kind: str, **named: str) -> list[dict[str, Any]]:
    wanted = {**named, "created-by": "aws-bootstrap-g4dn"}
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in wanted.items()]}]


def lose(client, operation: str, *, after: bool) -> None:
    """Have each of these calls fail without an answer: before it takes effect, or after."""

    def fail(**_):
        raise EndpointConnectionError(endpoint_url="https://ec2")

    client.meta.events.register(f"{'after' if after else 'before'}-call.ec2.{operation}", fail)
