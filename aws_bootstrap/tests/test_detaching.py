"""Waiting for volumes to detach (ec2/detaching.py): one call a second asks for all of a region."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.tests.cloud import make_volume

WEST = "us-west-2"


def volume(volume_id: str, state: str | None, holder: str | None = None) -> dict[str, Any]:
    """A volume as EC2 describes it; without a state if that is None."""
    raw: dict[str, Any] = {"VolumeId": volume_id, "Attachments": [{"InstanceId": holder}] if holder else []}
    return raw | ({"State": state} if state else {})


def asked(*volume_ids: str) -> dict[str, Any]:
    return {"Filters": [{"Name": "volume-id", "Values": list(volume_ids)}]}


def waited(client, holders: dict[str, str], timeout: float = 60.0) -> list[dict[str, str | None]]:
    """What `wait_detached` yields, each error as its code and message."""
    groups: list[dict[str, str | None]] = []
    for group in ec2.wait_detached(client, holders, timeout, every=0.0):
        told: dict[str, str | None] = {}
        for name, error in group.items():
            told[name] = f"{error.code}: {error}" if error else None
        groups.append(told)
    return groups


def test_one_call_asks_for_all_that_are_still_waited_for(client, stub):
    held = volume("vol-1", "in-use", "i-1")
    both = {"Volumes": [held, volume("vol-2", "in-use", "i-2")]}
    stub.add_response("describe_volumes", both, asked("vol-1", "vol-2", "vol-3"))
    stub.add_response("describe_volumes", {"Volumes": [held]}, asked("vol-1", "vol-2"))
    stub.add_response("describe_volumes", {"Volumes": [volume("vol-1", "available")]}, asked("vol-1"))
    groups = waited(client, {"vol-1": "i-1", "vol-2": "i-2", "vol-3": "i-3"})
    assert groups == [{"vol-3": None}, {"vol-2": None}, {"vol-1": None}], "two of them no longer exist"


def test_without_volumes_nothing_is_asked(client, stub):
    assert waited(client, {}) == []


def test_more_volumes_than_a_filter_takes_are_asked_for_in_parts(client, stub):
    names = [f"vol-{number}" for number in range(201)]
    stub.add_response("describe_volumes", {"Volumes": []}, asked(*names[:200]))
    stub.add_response("describe_volumes", {"Volumes": []}, asked("vol-200"))
    assert waited(client, dict.fromkeys(names, "i-1")) == [dict.fromkeys(names)]


@pytest.mark.parametrize(
    ("state", "holder", "outcome"),
    [
        ("available", None, None),
        ("available", "i-1", None),
        (None, None, None),
        ("in-use", "i-1", "volume-in-use: vol-1 did not detach within 0 s."),
        ("in-use", None, "volume-in-use: vol-1 did not detach within 0 s."),
        (None, "i-1", "volume-in-use: vol-1 did not detach within 0 s."),
        ("in-use", "i-2", "volume-in-use: vol-1 is attached to i-2."),
        (None, "i-2", "volume-in-use: vol-1 is attached to i-2."),
    ],
)
def test_what_state_and_attachment_say(client, stub, state, holder, outcome):
    stub.add_response("describe_volumes", {"Volumes": [volume("vol-1", state, holder)]})
    assert waited(client, {"vol-1": "i-1"}, timeout=0.0) == [{"vol-1": outcome}]


def test_one_volume_that_another_box_has_keeps_no_other_from_being_waited_for(client, stub):
    first = {"Volumes": [volume("vol-1", "in-use", "i-9"), volume("vol-2", "in-use", "i-2")]}
    stub.add_response("describe_volumes", first)
    stub.add_response("describe_volumes", {"Volumes": [volume("vol-2", "available")]}, asked("vol-2"))
    groups = waited(client, {"vol-1": "i-1", "vol-2": "i-2"})
    assert groups == [{"vol-1": "volume-in-use: vol-1 is attached to i-9."}, {"vol-2": None}]


def test_one_failure_is_forgiven_and_a_second_in_a_row_is_not(client, stub):
    held = {"Volumes": [volume("vol-1", "in-use", "i-1")]}
    for answer in ("fails", held, "fails", held, "fails", "fails"):
        if isinstance(answer, dict):
            stub.add_response("describe_volumes", answer)
        else:
            stub.add_client_error("describe_volumes", "RequestLimitExceeded", "too many")
    (group,) = waited(client, {"vol-1": "i-1", "vol-2": "i-1"})[1:]
    assert group == {"vol-1": "aws-unavailable: too many"}


def test_a_reply_that_cannot_be_read_is_no_reply(client, stub):
    stub.add_response("describe_volumes", {"Volumes": [{"State": "available"}]})
    stub.add_response("describe_volumes", {"Volumes": [volume("vol-1", "available")]})
    assert waited(client, {"vol-1": "i-1"}) == [{"vol-1": None}]


@pytest.mark.parametrize(("code", "timeout"), [("UnauthorizedOperation", 60.0), ("RequestLimitExceeded", 0.0)])
def test_a_refusal_and_the_last_failure_are_final_for_all(client, stub, code, timeout):
    stub.add_client_error("describe_volumes", code, "no")
    (group,) = ec2.wait_detached(client, {"vol-1": "i-1", "vol-2": "i-1"}, timeout)
    assert list(group) == ["vol-1", "vol-2"]
    assert all(isinstance(error, BootstrapError) and str(error) == "no" for error in group.values())


# --- terminate -------------------------------------------------------------------------------------------


def test_terminate_polls_once_for_all_volumes_of_all_boxes(run, cloud, box):
    client = cloud.ec2(WEST)
    instance_ids = [box(), box(), box()]
    volume_ids = {make_volume(client, instance_id) for instance_id in instance_ids for _ in range(2)}
    replies: list[int] = []

    def still_attached_at_first(reply) -> None:
        replies.append(len(reply["Volumes"]))
        if len(replies) == 2:  # the first reply is about the boxes to terminate
            for raw in reply["Volumes"]:
                raw["State"] = "in-use"

    cloud.faults.change_answer("DescribeVolumes", still_attached_at_first)
    done = run("terminate", *instance_ids, "--yes", "-o", "json")
    assert done.exit_code == 0
    deleted = [one for each in json.loads(done.stdout)["terminated"] for one in each["ebs_volumes_deleted"]]
    assert set(deleted) == volume_ids
    assert replies == [6, 6, 6]
    assert cloud.calls.count((WEST, "DeleteVolume")) == 6


def test_an_error_of_one_deletion_keeps_no_other_volume(run, cloud, box):
    instance_id = box()
    first, second = (make_volume(cloud.ec2(WEST), instance_id) for _ in range(2))
    cloud.fail("DeleteVolume", "UnauthorizedOperation", VolumeId=first)
    done = run("terminate", instance_id, "--yes", "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert document["terminated"][0]["ebs_volumes_deleted"] == [second]
    assert [resource["id"] for resource in document["error"]["resources"]] == [first]
