"""Launches whose calls get no answer, are interrupted, or whose box EC2 takes back: what exists is named.

AWS answers in this process, and the boxes are pretended: what is looked at happens before and after them.

A promise of all steps of a launch, so that it is no test of one of them.
"""

from __future__ import annotations

import signal

import pytest

from aws_bootstrap.errors import SshError
from aws_bootstrap.tests.cloud import OURS

WEST = "us-west-2"
BROKEN = SshError("The connection broke.", code="ssh-lost")


def named(failed) -> set[tuple[str, str]]:
    return {(r["type"], r["id"]) for r in failed["error"]["resources"]}


def existing(cloud) -> set[tuple[str, str]]:
    """What there is in the account that this tool made."""
    client = cloud.ec2(WEST)
    ours = [{"Name": f"tag:{OURS['Key']}", "Values": [OURS["Value"]]}]
    reservations = client.describe_instances(Filters=ours)["Reservations"]
    instances = [i for r in reservations for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    data = [{"Name": "tag-key", "Values": ["aws-bootstrap-instance"]}]
    found = {("instance", i["InstanceId"]) for i in instances}
    found |= {("volume", v["VolumeId"]) for v in client.describe_volumes(Filters=[*ours, *data])["Volumes"]}
    found |= {("security-group", g["GroupId"]) for g in client.describe_security_groups(Filters=ours)["SecurityGroups"]}
    return found | {("key-pair", k["KeyName"]) for k in client.describe_key_pairs(Filters=ours)["KeyPairs"]}


def undo(run, failed) -> None:
    """Run the command that the hint prints as the undo."""
    (line,) = [line for line in failed["error"]["hint"].splitlines() if line.startswith("Undo")]
    words = line.partition("aws-bootstrap ")[2].split()
    assert run(*words, "--yes", "-o", "json").exit_code == 0


# --- answers that are lost -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    ["ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "CreateVolume", "AttachVolume"],
)
def test_an_answer_that_never_comes_does_not_end_a_launch(launch, cloud, operation):
    cloud.faults.lose(operation, times=1)
    cloud.faults.drop(operation, skip=1)
    code, failed = launch("--ebs-storage", "5")
    assert (code, failed["error"]["message"]) == (3, "The data volume is not mounted: This box has no disks.")
    kinds = sorted(kind for kind, _ in existing(cloud))
    assert kinds == ["instance", "key-pair", "security-group", "volume"], "one of each"
    assert ("volume", failed["ebs_volume"]["volume_id"]) in existing(cloud)


def test_a_volume_whose_creation_cannot_be_looked_up_is_reported_as_unknown(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.lose("CreateVolume")
    cloud.deny(WEST, "DescribeVolumes")
    code, failed = launch("--ebs-storage", "5")
    assert code == 3
    assert "EC2 may have created the data volume anyway." in failed["error"]["message"]
    assert "ebs_volume" not in failed


def test_a_volume_that_was_not_created_leaves_the_box(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.drop("CreateVolume")
    code, failed = launch("--ebs-storage", "5")
    assert code == 3
    assert "not known" not in failed["error"]["message"]
    assert "ebs_volume" not in failed
    assert {kind for kind, _ in named(failed)} == {"instance", "security-group", "key-pair"}


# --- interrupts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "number", "code"),
    [
        ("ImportKeyPair", signal.SIGINT, 130),
        ("CreateSecurityGroup", signal.SIGTERM, 143),
        ("CreateVolume", signal.SIGHUP, 129),
    ],
)
def test_what_an_interrupt_overtook_is_named(launch, run, cloud, operation, number, code):
    cloud.faults.interrupt(operation, number)
    exit_code, failed = launch("--ebs-storage", "5")
    assert exit_code == code
    assert failed["error"]["code"] == "interrupted"
    assert named(failed) == existing(cloud)
    if failed["instance_id"]:
        undo(run, failed)
        assert {kind for kind, _ in existing(cloud)} == {"key-pair", "security-group"}


def test_what_an_interrupt_overtook_and_cannot_be_looked_up_is_reported_as_unknown(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.interrupt("RunInstances")
    cloud.deny(WEST, "DescribeInstances")
    code, failed = launch()
    assert code == 130
    assert failed["instance_id"] is None
    assert "EC2 may have created the instance, but looking that up failed." in failed["error"]["hint"]
    assert f"aws-bootstrap status --region {WEST}" in failed["error"]["hint"]


def test_a_key_pair_that_may_have_been_made_is_reported_though_it_costs_nothing(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.drop("ImportKeyPair")
    cloud.faults.drop("DescribeKeyPairs", skip=1)
    code, failed = launch()
    assert code == 1
    assert "EC2 may have created the key pair in us-west-2. This is free of charge" in failed["error"]["hint"]


def test_an_interrupt_while_an_error_is_looked_into_still_tells_what_exists(launch, cloud, boxes):
    """The second look at EC2, after ssh broke, is interrupted."""

    def breaks():
        cloud.faults.interrupt("DescribeInstances")
        raise BROKEN

    boxes.on_login = breaks
    code, failed = launch("--ebs-storage", "5")
    assert code == 130
    assert named(failed) == existing(cloud)


# --- a box that EC2 takes back ---------------------------------------------------------------------------


def test_a_box_that_ec2_takes_back_leaves_a_volume_that_is_named_with_its_undo(launch, run, cloud, boxes):
    def taken_back():
        alive = {i for kind, i in existing(cloud) if kind == "instance"}
        cloud.ec2(WEST).terminate_instances(InstanceIds=list(alive))
        raise BROKEN

    boxes.on_login = taken_back
    code, failed = launch("--ebs-storage", "5")
    assert code == 3
    assert named(failed) == existing(cloud)
    assert [r["type"] for r in failed["error"]["resources"] if r["billing"]] == ["volume"]
    assert failed["error"]["hint"].count("Launch again") == 1
    undo(run, failed)
    assert {kind for kind, _ in existing(cloud)} == {"key-pair", "security-group"}


def test_a_box_that_ends_before_it_runs_leaves_a_volume_that_is_named(launch, cloud):
    def ended(reply):
        for reservation in reply["Reservations"]:
            for instance in reservation["Instances"]:
                instance.update(State={"Name": "terminated"}, StateReason={"Message": "no spot capacity"})

    cloud.faults.change_answer("DescribeInstances", ended)
    code, failed = launch("--ebs-storage", "5")
    assert code == 3
    assert failed["error"]["code"] == "instance-ended"
    assert [r["type"] for r in failed["error"]["resources"] if r["billing"]] == ["volume"]
    assert "cleanup --include-ebs" in failed["error"]["hint"]
    assert failed["error"]["hint"].count("Launch again") == 1


def test_a_box_that_ec2_takes_back_and_that_leaves_nothing_is_a_failure(launch, cloud, boxes):
    def taken_back():
        cloud.ec2(WEST).terminate_instances(InstanceIds=[i for kind, i in existing(cloud) if kind == "instance"])
        raise BROKEN

    boxes.on_login = taken_back
    code, failed = launch()
    assert code == 1
    assert not [r for r in failed["error"]["resources"] if r["billing"]]


# --- the user's own volume -------------------------------------------------------------------------------


def test_the_users_volume_is_not_listed_as_made_by_a_launch(launch, cloud, own_volume):
    cloud.faults.lose("CreateTags")
    code, failed = launch("--ebs-volume-id", own_volume)
    assert (code, failed["error"]["message"]) == (3, "The data volume is not mounted: This box has no disks.")
    assert failed["ebs_volume"]["volume_id"] == own_volume
    assert own_volume not in {i for _, i in named(failed)}


def test_the_users_volume_is_not_listed_where_the_launch_breaks(launch, boxes, own_volume):
    def breaks():
        raise BROKEN

    boxes.on_login = breaks
    code, failed = launch("--ebs-volume-id", own_volume)
    assert code == 3
    assert failed["ebs_volume"]["volume_id"] == own_volume
    assert {kind for kind, _ in named(failed)} == {"instance", "key-pair", "security-group"}
