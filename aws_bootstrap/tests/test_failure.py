"""What is told when a launch breaks, as a whole: code, message, hint, and what exists. AWS answers in this process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.tests.test_lost_answers import existing
from aws_bootstrap.workflows.launch.report import setup_options
from aws_bootstrap.workflows.launch.state import Node
from aws_bootstrap.workflows.provision import SetupOutcome

EAST, WEST = "us-east-1", "us-west-2"
LOOK = f"Check: aws-bootstrap status --region {WEST}"


@pytest.fixture
def breaks(boxes):
    """Have the first login end with this error, after these have happened."""

    def set_up(error: BaseException, *happen) -> None:
        def login() -> None:
            for act in happen:
                act()
            raise error

        boxes.on_login = login

    return set_up


def broken() -> SshError:
    """One of its own for each test: a launch adds to it."""
    return SshError("The connection broke.", code="ssh-lost")


def ways_on(failed) -> str:
    """The hint for a box that is up: how to go on, and how to undo it."""
    undo = f"Undo: aws-bootstrap terminate {failed['instance_id']} --region {WEST}"
    return f"Continue: aws-bootstrap setup aws-gpu1\n{undo}"


def of_kinds(cloud, *kinds) -> list[dict]:
    """What exists of these kinds, in this order, as an error names it."""
    ids = dict(existing(cloud))
    bills = ("instance", "volume")
    return [{"type": k, "id": ids[k], "region": WEST, "billing": k in bills} for k in kinds]


FREE = ("key-pair", "security-group")


def unordered(resources: list[dict]) -> list[dict]:
    return sorted(resources, key=lambda r: r["type"])


# --- a box that is left ----------------------------------------------------------------------------------


def test_a_box_that_cannot_be_logged_into_is_named_with_its_volume_and_the_ways_on(launch, cloud, breaks):
    breaks(SshError("The connection broke.", hint="Look at it.", code="ssh-lost"))
    code, failed = launch("--ebs-storage", "5")
    error = failed["error"]
    assert (code, error["code"], error["message"]) == (3, "ssh-lost", "The connection broke.")
    assert error["hint"] == f"Look at it.\n{ways_on(failed)}"
    assert error["regions"] == []
    assert error["resources"][:2] == of_kinds(cloud, "instance", "volume")
    assert unordered(error["resources"][2:]) == of_kinds(cloud, *FREE)


def test_a_slip_of_our_own_is_reported_as_one_and_the_box_is_named(launch, cloud, breaks):
    breaks(ZeroDivisionError("by nought"))
    code, failed = launch()
    error = failed["error"]
    assert (code, error["code"], error["message"]) == (3, "internal-error", "Unexpected ZeroDivisionError: by nought")
    assert error["hint"] == ways_on(failed)
    assert error["resources"][:1] == of_kinds(cloud, "instance")


def test_ec2_is_asked_whether_it_has_ended_the_box_only_where_ssh_broke(launch, cloud, breaks):
    breaks(ZeroDivisionError("by nought"), cloud.calls.clear)
    launch()
    assert "DescribeInstances" not in {operation for _, operation in cloud.calls}


def test_a_slip_of_our_own_before_there_is_a_box_is_a_plain_failure(launch, app, cloud):
    app.lookup_seconds = 0

    def slip() -> None:
        raise ZeroDivisionError("by nought")

    cloud.faults.on("ImportKeyPair", slip)
    code, failed = launch()
    error = failed["error"]
    assert (code, error["code"], error["message"]) == (1, "internal-error", "Unexpected ZeroDivisionError: by nought")
    assert error["hint"] is None
    assert not [r for r in error["resources"] if r["billing"]]


def test_a_box_without_an_alias_yet_can_only_be_undone(launch, cloud):
    cloud.deny(WEST, "DescribeInstances")
    code, failed = launch()
    error = failed["error"]
    assert (code, error["code"], failed["ssh_alias"]) == (3, "access-denied", None)
    assert "setup" not in error["hint"]
    assert error["hint"].splitlines()[-1] == ways_on(failed).splitlines()[-1]
    assert [r["id"] for r in error["resources"] if r["billing"]] == [failed["instance_id"]]


# --- nothing is left -------------------------------------------------------------------------------------


def test_where_there_is_no_room_the_search_has_the_word(launch, cloud):
    cloud.fail("RunInstances", "InsufficientInstanceCapacity")
    code, failed = launch("--max-price", "0.1")
    error = failed["error"]
    assert (code, error["code"], failed["instance_id"]) == (1, "no-capacity", None)
    assert [(r["region"], r["market"]) for r in error["regions"]][0] == (WEST, "spot")
    assert "Wait for capacity: --wait" in error["hint"]
    assert "Undo" not in error["hint"]
    assert unordered(error["resources"]) == of_kinds(cloud, *FREE)


def test_a_box_of_which_nothing_is_known_is_looked_for_by_hand(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.drop("RunInstances")
    cloud.deny(WEST, "DescribeInstances")
    code, failed = launch()
    error = failed["error"]
    may = "EC2 may have created the instance, but looking that up failed."
    assert code == 3
    assert error["hint"].splitlines()[-2:] == [may, LOOK]
    assert "free of charge" not in error["hint"]
    assert [(r["type"], r["billing"]) for r in unordered(error["resources"])] == [(kind, False) for kind in FREE]


def test_a_volume_of_which_nothing_is_known_is_reported_besides_the_box(launch, app, cloud, breaks):
    app.lookup_seconds = 0
    cloud.faults.lose("CreateVolume")
    cloud.deny(WEST, "DescribeVolumes")
    breaks(broken())
    code, failed = launch("--ebs-storage", "5")
    may = "EC2 may have created the data volume, but looking that up failed."
    assert code == 3
    assert failed["error"]["hint"] == f"{may}\n{LOOK}\n{ways_on(failed)}"
    assert [r["type"] for r in failed["error"]["resources"] if r["billing"]] == ["instance"]


def test_what_costs_nothing_and_is_not_known_does_not_make_it_incomplete(launch, app, cloud):
    app.lookup_seconds = 0
    cloud.faults.drop("ImportKeyPair")
    cloud.faults.drop("DescribeKeyPairs", skip=1)
    code, failed = launch()
    assert code == 1
    assert LOOK not in failed["error"]["hint"]
    assert failed["error"]["hint"].splitlines()[-1] == (
        f"EC2 may have created the key pair in {WEST}. This is free of charge, and the next launch uses what exists."
    )


# --- a box that EC2 has ended ----------------------------------------------------------------------------


def in_state(cloud, state: str):
    """Have EC2 show every instance in that state from now on."""

    def change(reply) -> None:
        for reservation in reply["Reservations"]:
            for instance in reservation["Instances"]:
                instance["State"]["Name"] = state

    return lambda: cloud.faults.change_answer("DescribeInstances", change)


def launch_again(failed) -> str:
    """The hint for a box that was terminated."""
    terminated = f"The instance {failed['instance_id']} was terminated."
    return f"{terminated} Launch again, or try another --region or --instance-type."


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_a_box_that_has_ended_is_not_named_but_its_volume_is(launch, cloud, breaks, state):
    breaks(broken(), in_state(cloud, state))
    code, failed = launch("--ebs-storage", "5")
    volume = failed["ebs_volume"]["volume_id"]
    stays = f"The data volume {volume} (5 GB) still exists and is billed."
    undo = "Undo, once the volume is detached: aws-bootstrap cleanup --include-ebs"
    assert code == 3
    assert failed["error"]["hint"] == f"{launch_again(failed)}\n{stays}\n{undo}"
    assert failed["error"]["resources"][:1] == of_kinds(cloud, "volume")
    assert unordered(failed["error"]["resources"][1:]) == of_kinds(cloud, *FREE)


def test_a_volume_without_an_owner_is_deleted_by_its_id(launch, cloud, breaks):
    """`cleanup` leaves what has no owner."""
    cloud.fail("GetCallerIdentity", "AccessDenied")
    breaks(broken(), in_state(cloud, "terminated"))
    _, failed = launch("--ebs-storage", "5")
    deletion = f"aws ec2 delete-volume --region us-west-2 --volume-id {failed['ebs_volume']['volume_id']}"
    assert failed["error"]["hint"].endswith(f"Undo, once the volume is detached: {deletion}")


def test_a_box_that_has_ended_and_left_nothing_asks_for_another_launch(launch, cloud, breaks):
    breaks(broken(), in_state(cloud, "terminated"))
    code, failed = launch()
    assert (code, failed["error"]["code"], failed["error"]["hint"]) == (1, "ssh-lost", launch_again(failed))
    assert unordered(failed["error"]["resources"]) == of_kinds(cloud, *FREE)


def test_a_box_that_ends_before_it_runs_says_so_once(launch, cloud):
    in_state(cloud, "terminated")()
    code, failed = launch()
    assert (code, failed["error"]["code"]) == (1, "instance-ended")
    assert launch_again(failed) not in failed["error"]["hint"]
    assert failed["error"]["hint"].count("Launch again") == 1


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_a_box_that_has_not_ended_still_bills(launch, cloud, breaks, state):
    breaks(broken(), in_state(cloud, state))
    code, failed = launch()
    assert code == 3
    assert failed["error"]["hint"] == ways_on(failed)
    assert failed["error"]["resources"][:1] == of_kinds(cloud, "instance")


@pytest.mark.parametrize("answer", ["refused", "empty"])
def test_a_box_that_ec2_does_not_tell_of_counts_as_billing(launch, cloud, breaks, answer):
    def nothing() -> None:
        cloud.faults.change_answer("DescribeInstances", lambda reply: reply.update(Reservations=[]))

    breaks(broken(), nothing if answer == "empty" else lambda: cloud.deny(WEST, "DescribeInstances"))
    code, failed = launch()
    assert code == 3
    assert failed["error"]["hint"] == ways_on(failed)
    assert [r["type"] for r in failed["error"]["resources"] if r["billing"]] == ["instance"]


# --- an address that is not let in -----------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ssh-timeout", "ssh-lost"])
def test_a_box_that_is_silent_since_this_machine_is_not_let_in_says_so(launch, cloud, breaks, my_address, code):
    def shut() -> None:
        client = cloud.ec2(WEST)
        for group in client.describe_security_groups()["SecurityGroups"]:
            if group["IpPermissions"]:
                client.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])

    breaks(SshError("Silence.", code=code), shut)
    exit_code, failed = launch()
    not_let_in = (
        f"The security group of aws-gpu1 does not allow SSH from your address {my_address}. "
        "Allow only this address: aws-bootstrap access aws-gpu1 --ssh-cidr me"
    )
    said = f"{not_let_in}\n" if code == "ssh-timeout" else ""
    assert (exit_code, failed["error"]["hint"]) == (3, said + ways_on(failed))


# --- the options of setup --------------------------------------------------------------------------------

COMPLETED = SetupOutcome("completed")
NOT_UPLOADED = SetupOutcome("failed", "upload")
NOT_BEGUN = SetupOutcome("failed", "start")
STEP_FAILED = SetupOutcome("failed", "venv")
SKIPPED = SetupOutcome("skipped")
PYTHON, SCRIPT = {"python_version": "3.13"}, {"setup_script": Path("/a b/setup.sh")}


@pytest.mark.parametrize(
    ("wanted", "outcome", "options"),
    [
        ({}, None, ""),
        (PYTHON, None, " --python-version 3.13"),
        (PYTHON, NOT_UPLOADED, " --python-version 3.13"),
        (PYTHON, NOT_BEGUN, " --python-version 3.13"),
        (PYTHON, SKIPPED, " --python-version 3.13"),
        (PYTHON, STEP_FAILED, ""),
        (PYTHON, COMPLETED, ""),
        (SCRIPT, COMPLETED, " --setup-script '/a b/setup.sh'"),
        (PYTHON | SCRIPT, None, " --python-version 3.13 --setup-script '/a b/setup.sh'"),
    ],
    ids=str,
)
def test_a_setup_that_is_gone_on_with_has_the_options_that_the_box_does_not_know(wanted, outcome, options):
    launch: Any = SimpleNamespace(config=LaunchConfig(**wanted))
    assert setup_options(launch, Node(outcome=outcome)) == options
