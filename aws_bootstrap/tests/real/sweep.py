"""Ends what a run created, and proves that nothing of it is left. It uses nothing of the program that is tested.

Only what carries the run's id is found, and so only that is ended: instances and volumes by their tag `run`, the key
pair and the security group by their name. All of them must also have the tag of the program.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from aws_bootstrap.tests.real.policies import resource_name
from aws_bootstrap.tests.real.steps import say

CREATED_BY = {"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}
#: The states in which an instance exists.
LIVING = ["pending", "running", "shutting-down", "stopping", "stopped"]


@dataclass(frozen=True)
class Found:
    """A resource of the run."""

    resource_type: str
    resource_id: str
    state: str = ""


@dataclass(frozen=True)
class Timing:
    """In seconds: how long a sweep lasts at most, its pause, and how long nothing must be found."""

    limit: float
    pause: float
    #: EC2 may show a new resource only after some seconds.
    settle: float


@dataclass
class Sweep:
    """What a sweep ended, and what it left. `error`: why the last look did not answer."""

    ended: dict[str, str] = field(default_factory=dict)
    left: list[Found] = field(default_factory=list)
    error: str = ""

    @property
    def is_clean(self) -> bool:
        """Return whether a complete look proved that nothing is left."""
        return not self.left and not self.error

    def report(self) -> dict[str, Any]:
        """Return it as it is written to the log."""
        left = [{"type": one.resource_type, "id": one.resource_id, "state": one.state} for one in self.left]
        ended = [{"type": resource_type, "id": name} for name, resource_type in self.ended.items()]
        return {"ended": ended, "left": left, "error": self.error}


def sweep(client: Any, run: str, timing: Timing) -> Sweep:
    """End what carries the run's id until nothing of it was found for a while, or the time is over."""
    result = Sweep()
    began = time.monotonic()
    clean_since: float | None = None
    while True:
        _look(client, run, result)
        now = time.monotonic()
        if not result.is_clean:
            clean_since = None
        elif clean_since is None:
            clean_since = now
        if clean_since is not None and now - clean_since >= timing.settle:
            return result
        if now - began > timing.limit:
            if result.is_clean:
                result.error = "nothing was found, but not for long enough"
            return result
        _end_all(client, result)
        time.sleep(timing.pause)


def find(client: Any, run: str) -> list[Found]:
    """Return every resource of the run that exists, in the order in which they are ended."""
    tagged = [{"Name": "tag:run", "Values": [run]}, CREATED_BY]
    living = {"Name": "instance-state-name", "Values": LIVING}
    found: list[Found] = []
    for page in client.get_paginator("describe_instances").paginate(Filters=[*tagged, living]):
        for reservation in page["Reservations"]:
            for one in reservation["Instances"]:
                found.append(Found("instance", one["InstanceId"], one["State"]["Name"]))
    for page in client.get_paginator("describe_volumes").paginate(Filters=tagged):
        for one in page["Volumes"]:
            found.append(Found("volume", one["VolumeId"], one["State"]))
    name = resource_name(run)
    named = [{"Name": "group-name", "Values": [name]}, CREATED_BY]
    for one in client.describe_security_groups(Filters=named)["SecurityGroups"]:
        found.append(Found("security-group", one["GroupId"]))
    named = [{"Name": "key-name", "Values": [name]}, CREATED_BY]
    for one in client.describe_key_pairs(Filters=named)["KeyPairs"]:
        found.append(Found("key-pair", one["KeyName"]))
    return found


def _look(client: Any, run: str, result: Sweep) -> None:
    """Note what is left; if the look fails, why, and what the look before found."""
    try:
        result.left = find(client, run)
        result.error = ""
    except (ClientError, BotoCoreError, LookupError) as exc:  # an answer that is not EC2's proves nothing
        result.error = f"{type(exc).__name__}: {exc}"


def _end_all(client: Any, result: Sweep) -> None:
    """End what can be ended now. A security group has to wait for the instances that use it."""
    has_instances = any(one.resource_type == "instance" for one in result.left)
    for one in result.left:
        if one.resource_type == "security-group" and has_instances:
            continue
        _try_end(client, one, result)


def _try_end(client: Any, one: Found, result: Sweep) -> None:
    """End one resource if its state permits it. A refusal is no error: the next look decides."""
    try:
        if not _end(client, one):
            return
    except (ClientError, BotoCoreError) as exc:
        say(f"   {one.resource_type} {one.resource_id}: {exc}")
        return
    if one.resource_id not in result.ended:
        say(f"   ending {one.resource_type} {one.resource_id}")
    result.ended[one.resource_id] = one.resource_type


def _end(client: Any, one: Found) -> bool:
    """Send the call that ends the resource. Return whether it was sent: a volume in use has to wait."""
    if one.resource_type == "instance":
        if one.state == "shutting-down":
            return False
        client.terminate_instances(InstanceIds=[one.resource_id])
    elif one.resource_type == "volume":
        if one.state != "available":
            return False
        client.delete_volume(VolumeId=one.resource_id)
    elif one.resource_type == "security-group":
        client.delete_security_group(GroupId=one.resource_id)
    else:
        client.delete_key_pair(KeyName=one.resource_id)
    return True
