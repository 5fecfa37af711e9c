"""Facts for tests: instances, volumes, images and hosts as the program holds them, and a clock that tests move.

Each factory takes the fields that the test is about, and gives the others plain values that fit together.
`cloud.py` has the counterparts that exist in an EC2: `start_box`, `make_volume`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_bootstrap.ec2 import InstanceRequest
from aws_bootstrap.models import Image, Instance, Volume
from aws_bootstrap.sshconfig import Host

REGION = "us-west-2"
ZONE = "us-west-2a"
LAUNCHED = datetime(2026, 1, 1, tzinfo=UTC)

_HOST = Host("i-0aaa", "aws-gpu1", "54.1.2.3", "ubuntu", "~/.ssh/id", "~/.aws-bootstrap/known_hosts", 22, REGION)
_INSTANCE = Instance("i-1", REGION, "running", "g4dn.xlarge", "spot", ZONE, LAUNCHED)
_VOLUME = Volume("vol-1", REGION, 10, "available", ZONE, created_by_us=True, kept=False, instance_id="i-1")
_IMAGE = Image("ami-1", "image", "x86_64", "2026-01-01", "/dev/sda1", 8)
_REQUEST = InstanceRequest(
    _IMAGE,
    "g4dn.xlarge",
    "spot",
    group_id="sg-1",
    key_name="k",
    client_token="t",
    volume_size=100,
)


def host(**changes: Any) -> Host:
    """Return a host of the SSH config, with an alias."""
    return replace(_HOST, **changes)


def instance(**changes: Any) -> Instance:
    """Return a running spot instance, without an address."""
    return replace(_INSTANCE, **changes)


def volume(**changes: Any) -> Volume:
    """Return a detached data volume of the instance above."""
    return replace(_VOLUME, **changes)


def image(**changes: Any) -> Image:
    """Return an image for x86_64."""
    return replace(_IMAGE, **changes)


def request(**changes: Any) -> InstanceRequest:
    """Return a request for a spot instance in the default VPC."""
    return replace(_REQUEST, **changes)


def _do_nothing() -> None:
    pass


class Clock:
    """A monotonic clock that moves by sleeping alone. When it reaches `at`, it calls `act` once."""

    def __init__(self, now: float = 0.0, *, at: float = math.inf, act: Callable[[], object] = _do_nothing) -> None:
        self.now, self._at, self._act = now, at, act

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let that time pass."""
        assert seconds > 0
        self.now += seconds
        if self.now >= self._at:
            self._at = math.inf
            self._act()
