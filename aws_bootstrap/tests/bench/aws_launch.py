"""What the AWS stand-in answers to a launch: it starts one box, whose SSH port is one of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .aws_answers import ACCOUNT, Call, World, ec2_answer, instance, instance_id

#: The number of the box that a launch starts, above those of every account.
_NUMBER = 0xF000
#: Seconds for which it is pending.
_PENDING = 1.0


def _run_instances(world: World, call: Call) -> str:
    world.launched_at = time.time()
    return ec2_answer(call.action, {**_reservation(), "instancesSet": [_launched(world, call.region)]})


def _describe_instances(world: World, call: Call) -> str:
    reservations: list[dict[str, Any]] = []
    if instance_id(_NUMBER) in call.values("InstanceId"):
        reservations.append({**_reservation(), "instancesSet": [_launched(world, call.region)]})
    return ec2_answer(call.action, {"reservationSet": reservations})


def _reservation() -> dict[str, Any]:
    return {"reservationId": f"r-{_NUMBER:017x}", "ownerId": ACCOUNT, "groupSet": []}


def _launched(world: World, region: str) -> dict[str, Any]:
    """The box that was launched: it is pending first, and has its address once it runs."""
    assert world.launched_at
    box = {**instance(world, region, _NUMBER), "ipAddress": "127.0.0.1"}
    if time.time() < world.launched_at + _PENDING:
        del box["ipAddress"]
        box["instanceState"] = {"code": 0, "name": "pending"}
    return box


def _create_group(world: World, call: Call) -> str:
    return ec2_answer(call.action, {"return": True, "groupId": "sg-0123456789abcdef0"})


def _authorize(world: World, call: Call) -> str:
    return ec2_answer(call.action, {"return": True, "securityGroupRuleSet": []})


def _import_key(world: World, call: Call) -> str:
    key_pair = {"keyName": call.parameters["KeyName"], "keyFingerprint": "", "keyPairId": "key-0123456789abcdef0"}
    return ec2_answer(call.action, key_pair)


#: The actions that change something.
CHANGES: dict[str, Callable[[World, Call], str]] = {
    "RunInstances": _run_instances,
    "CreateSecurityGroup": _create_group,
    "AuthorizeSecurityGroupIngress": _authorize,
    "ImportKeyPair": _import_key,
}
#: The actions that are answered differently once a box was launched.
LAUNCHED: dict[str, Callable[[World, Call], str]] = {"DescribeInstances": _describe_instances}
