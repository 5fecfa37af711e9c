"""What the AWS stand-in answers to a launch: it starts boxes, whose SSH ports are of this machine.

The first one has the address 127.0.0.1, the next one 127.0.0.2 and so on. EC2's waits are kept: an instance is pending
first, and a data volume is being created, so that it cannot be attached yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .aws_answers import ACCOUNT, Call, Launched, Refused, World, ec2_answer, instance, tag_set

#: The number of the first box that a launch starts, above those of every account.
_NUMBER = 0xF000
#: Seconds for which an instance is pending, and a volume is being created.
_PENDING = 1.0
_CREATING = 2.0
_VOLUME = "vol-0f"


def address(index: int) -> str:
    """Return the public address of the box with this launch index."""
    return f"127.0.0.{index + 1}"


def _run_instances(world: World, call: Call) -> str:
    world.launched = Launched(time.time(), call.region, int(call.parameters["MaxCount"]), call.tags("instance"))
    return ec2_answer(call.action, {**_reservation(), "instancesSet": _launched(world.launched, world)})


def _describe_instances(world: World, call: Call) -> str:
    launched = world.launched
    assert launched
    wanted = call.values("InstanceId")
    reservations: list[dict[str, Any]] = []
    found = [box for box in _launched(launched, world) if not wanted or box["instanceId"] in wanted]
    if found and call.region == launched.region:
        reservations.append({**_reservation(), "instancesSet": found})
    return ec2_answer(call.action, {"reservationSet": reservations})


def _reservation() -> dict[str, Any]:
    return {"reservationId": f"r-{_NUMBER:017x}", "ownerId": ACCOUNT, "groupSet": []}


def _launched(launched: Launched, world: World) -> list[dict[str, Any]]:
    """Return the boxes that were launched: each is pending first, and has its address once it runs."""
    is_pending = time.time() < launched.at + _PENDING
    boxes: list[dict[str, Any]] = []
    for index in range(launched.count):
        box = {**instance(world, launched.region, _NUMBER + index), "ipAddress": address(index)}
        box["amiLaunchIndex"] = index
        box["tagSet"] = tag_set(launched.tags | launched.later_tags.get(box["instanceId"], {}))
        if is_pending:
            del box["ipAddress"]
            box["instanceState"] = {"code": 0, "name": "pending"}
        boxes.append(box)
    return boxes


def _create_tags(world: World, call: Call) -> str:
    assert world.launched
    for resource in call.values("ResourceId"):
        with world.launched.lock:
            world.launched.later_tags.setdefault(resource, {}).update(call.tags())
    return ec2_answer(call.action, {"return": True})


def _delete_tags(world: World, call: Call) -> str:
    assert world.launched
    for resource in call.values("ResourceId"):
        for key in call.tags():
            world.launched.volumes[resource]["tags"].pop(key, None)
    return ec2_answer(call.action, {"return": True})


# --- data volumes ----------------------------------------------------------------------------------------


def _create_volume(world: World, call: Call) -> str:
    launched = world.launched
    assert launched
    with launched.lock:
        volume_id = f"{_VOLUME}{len(launched.volumes):015x}"
        volume = {
            "id": volume_id,
            "size": call.parameters["Size"],
            "zone": call.parameters["AvailabilityZone"],
            "tags": call.tags("volume"),
            "created": time.time(),
            "attached": None,
        }
        launched.volumes[volume_id] = volume
    return ec2_answer(call.action, _volume(volume))


def _attach_volume(world: World, call: Call) -> str:
    assert world.launched
    volume = world.launched.volumes[call.parameters["VolumeId"]]
    if _state(volume) == "creating":
        raise Refused("IncorrectState", f"{volume['id']} is not 'available'.")
    volume["attached"] = call.parameters["InstanceId"]
    return ec2_answer(call.action, {"volumeId": volume["id"], "instanceId": volume["attached"], "status": "attaching"})


def _describe_volumes(world: World, call: Call) -> str:
    assert world.launched
    ids = call.values("VolumeId") or call.filter_values("volume-id")
    instances = call.filter_values("tag:aws-bootstrap-instance")
    found: list[dict[str, Any]] = []
    for volume in list(world.launched.volumes.values()):
        if volume["id"] in ids or volume["tags"]["aws-bootstrap-instance"] in instances:
            found.append(_volume(volume))
    return ec2_answer(call.action, {"volumeSet": found})


def _state(volume: Mapping[str, Any]) -> str:
    if time.time() < volume["created"] + _CREATING:
        return "creating"
    return "in-use" if volume["attached"] else "available"


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    attachments: list[dict[str, str]] = []
    if volume["attached"]:
        attachments.append({"volumeId": volume["id"], "instanceId": volume["attached"], "status": "attached"})
    return {
        "volumeId": volume["id"],
        "size": volume["size"],
        "snapshotId": "",
        "availabilityZone": volume["zone"],
        "status": _state(volume),
        "createTime": "2026-01-01T00:00:00.000Z",
        "attachmentSet": attachments,
        "tagSet": tag_set(volume["tags"]),
        "volumeType": "gp3",
        "encrypted": True,
    }


# --- what boxes share ------------------------------------------------------------------------------------


def _create_group(world: World, call: Call) -> str:
    number = sum(call.parameters["GroupName"].encode())
    return ec2_answer(call.action, {"return": True, "groupId": f"sg-{number:017x}"})


def _authorize(world: World, call: Call) -> str:
    return ec2_answer(call.action, {"return": True, "securityGroupRuleSet": []})


def _import_key(world: World, call: Call) -> str:
    key_pair = {"keyName": call.parameters["KeyName"], "keyFingerprint": "", "keyPairId": "key-0123456789abcdef0"}
    return ec2_answer(call.action, key_pair)


def _create_placement_group(world: World, call: Call) -> str:
    group = {"groupName": call.parameters["GroupName"], "strategy": "cluster", "state": "available"}
    return ec2_answer(call.action, {"placementGroup": {**group, "tagSet": tag_set(call.tags("placement-group"))}})


#: The actions that change something.
CHANGES: dict[str, Callable[[World, Call], str]] = {
    "RunInstances": _run_instances,
    "CreateTags": _create_tags,
    "DeleteTags": _delete_tags,
    "CreateVolume": _create_volume,
    "AttachVolume": _attach_volume,
    "CreateSecurityGroup": _create_group,
    "AuthorizeSecurityGroupIngress": _authorize,
    "ImportKeyPair": _import_key,
    "CreatePlacementGroup": _create_placement_group,
}
#: The actions that are answered differently once a box was launched.
LAUNCHED: dict[str, Callable[[World, Call], str]] = {
    "DescribeInstances": _describe_instances,
    "DescribeVolumes": _describe_volumes,
}
