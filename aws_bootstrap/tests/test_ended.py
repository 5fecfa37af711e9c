"""Why boxes are gone, as `status` shows it: which source is read for whom, and what is unknown without it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from click import unstyle

from aws_bootstrap import ec2, output, sshconfig
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.models import EndedBox, Notice, StatusReport
from aws_bootstrap.next_commands import next_commands, of_ended
from aws_bootstrap.tests import factories, schema_check
from aws_bootstrap.tests.cloud import CALLER, start_box
from aws_bootstrap.views.status import REASONS
from aws_bootstrap.views.text import text
from aws_bootstrap.workflows.ended import console_reason, ended_boxes

EAST, WEST = "us-east-1", "us-west-2"
USER, SELF, SPOT = "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", "Server.SpotInstanceTermination"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DENIED = "You are not authorized to perform this operation."


@pytest.fixture(autouse=True)
def no_warnings():
    """None of an earlier test."""
    output.use(Console(OutputFormat.JSON))


@pytest.fixture
def gone():
    """Create terminated instances, each of which ended a minute after the one before."""
    numbers = count(1)

    def create(code: str | None, **changes):
        number = next(numbers)
        fields = {"instance_id": f"i-{number}", "ended_at": NOON + timedelta(minutes=number)} | changes
        return factories.instance(state="terminated", state_reason_code=code, **fields)

    return create


def answer_consoles(cloud, texts: dict[str, str]) -> None:
    """Have AWS answer with the console of each instance, by its id."""
    cloud.faults.change_answer("GetConsoleOutput", lambda reply: reply.update(Output=texts[reply["InstanceId"]]))


def requests(cloud, **statuses: str | None):
    """Have AWS report these statuses of spot requests."""
    found = []
    for request_id, code in statuses.items():
        status = {"Code": code} if code else {}
        found.append({"SpotInstanceRequestId": request_id, "Status": status})
    cloud.faults.change_answer("DescribeSpotInstanceRequests", lambda reply: reply.update(SpotInstanceRequests=found))


def reasons(app, *instances) -> dict[str, tuple[str, str | None]]:
    boxes = ended_boxes(app, instances, (), CALLER)
    return {box.instance_id: (box.reason, box.source) for box in boxes}


def warnings() -> tuple[Notice, ...]:
    return output.with_warnings(StatusReport((), (), (), ())).warnings


def calls(cloud) -> Counter[tuple[str, str]]:
    return Counter(cloud.calls)


# --- the console -------------------------------------------------------------------------------------------------

BOOTED = "[    0.0] Linux version 6.8\r\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\r\naws-bootstrap: this box ends: deadline\r\n", "deadline"),
        ("\r\naws-bootstrap: this box ends: idle\r\n", "idle"),
        ("\r\naws-bootstrap: this box ends: cost-cap\r\n[   99.0] reboot: Power down\r\n", "cost-cap"),
        ("aws-bootstrap: this box ends: idle\naws-bootstrap: this box ends: deadline\n", "deadline"),
        ('\r\naws-bootstrap: spot interruption: {"action": "terminate"}\r\n', "spot-interruption"),
        ("aws-bootstrap: spot interruption: {}\naws-bootstrap: this box ends: deadline\n", "deadline"),
        ("aws-bootstrap: this box ends: boredom\n", None),
        ("", None),
    ],
)
def test_a_console_says_why_a_box_ended(text, reason):
    assert console_reason(BOOTED + text) == reason


# --- which source ------------------------------------------------------------------------------------------------


def test_a_clear_state_reason_needs_no_call(app, cloud, gone):
    found = reasons(app, gone(USER), gone(SPOT), gone("Server.SpotInstanceShutdown"))
    assert found == {
        "i-1": ("user", "state-reason"),
        "i-2": ("spot-interruption", "state-reason"),
        "i-3": ("spot-interruption", "state-reason"),
    }
    assert cloud.calls == []


def test_an_unclear_end_on_demand_is_unknown_without_a_call(app, cloud, gone):
    found = reasons(app, gone(None, lifecycle="on-demand"), gone("Server.InternalError", lifecycle="on-demand"))
    assert set(found.values()) == {("unknown", None)}
    assert cloud.calls == []


def test_spot_requests_are_read_by_one_call_a_region(app, cloud, gone):
    instances = [gone(None, spot_request_id=f"sir-{number}") for number in range(1, 6)]
    instances.append(gone(None, spot_request_id="sir-6", region=EAST))
    requests(
        cloud,
        **{
            "sir-1": "instance-terminated-no-capacity",
            "sir-2": "instance-terminated-by-price",
            "sir-3": "instance-terminated-by-user",
            "sir-4": "system-error",
            "sir-5": None,
            "sir-7": "instance-terminated-by-user",
        },
    )
    assert reasons(app, *instances) == {
        "i-1": ("spot-interruption", "spot-request"),
        "i-2": ("spot-interruption", "spot-request"),
        "i-3": ("user", "spot-request"),
        "i-4": ("unknown", None),
        "i-5": ("unknown", None),
        "i-6": ("unknown", None),
    }
    assert calls(cloud) == {(WEST, "DescribeSpotInstanceRequests"): 1, (EAST, "DescribeSpotInstanceRequests"): 1}


def test_spot_requests_that_cannot_be_read_are_warned_of(app, cloud, gone):
    cloud.deny(WEST, "DescribeSpotInstanceRequests")
    assert reasons(app, gone(None, spot_request_id="sir-1"), gone(USER)) == {
        "i-1": ("unknown", None),
        "i-2": ("user", "state-reason"),
    }
    notice = Notice("end-unknown", f"Could not read why spot boxes in {WEST} ended: {DENIED}", region=WEST)
    assert warnings() == (notice,)


def started(cloud, region: str = WEST) -> str:
    instance_id: str = start_box(cloud.ec2(region))["InstanceId"]
    return instance_id


def test_the_console_of_a_box_that_ended_itself_is_read(app, cloud, gone):
    by_deadline, silent = started(cloud), started(cloud)
    texts = {by_deadline: "aws-bootstrap: this box ends: deadline\r\n", silent: BOOTED}
    answer_consoles(cloud, texts)
    cloud.calls.clear()
    instances = [gone(SELF, instance_id=one, spot_request_id="sir-1") for one in (by_deadline, silent)]
    assert reasons(app, *instances) == {by_deadline: ("deadline", "console"), silent: ("unknown", None)}
    assert calls(cloud) == {(WEST, "GetConsoleOutput"): 2}


def test_a_console_that_cannot_be_read_is_warned_of(app, cloud, gone):
    cloud.deny(WEST, "GetConsoleOutput")
    assert reasons(app, gone(SELF)) == {"i-1": ("unknown", None)}
    notice = Notice("end-unknown", f"Could not read why i-1 ended: {DENIED}", "i-1", WEST)
    assert warnings() == (notice,)


def test_a_lost_console_has_no_output(client, stub):
    stub.add_response("get_console_output", {"InstanceId": "i-1"}, {"InstanceId": "i-1"})
    assert ec2.console_output(client, "i-1") == ""


def test_ten_consoles_a_region_are_read_of_those_that_ended_last(app, cloud, gone):
    cloud.deny(WEST, "GetConsoleOutput")
    cloud.deny(EAST, "GetConsoleOutput")
    instances = [gone(SELF, ended_at=None), *(gone(SELF) for _ in range(11)), gone(SELF, region=EAST)]
    assert set(reasons(app, *reversed(instances)).values()) == {("unknown", None)}
    warned = {notice.instance_id for notice in warnings()}
    assert warned == {f"i-{number}" for number in range(3, 14)}


def test_boxes_come_in_the_order_of_their_end_with_alias_and_owner(app, cloud, gone):
    first, second, unknown = gone(USER, owner=CALLER), gone(USER, owner="AIDA"), gone(USER, ended_at=None)
    hosts = [factories.host(alias="aws-gpu7", instance_id="i-2")]
    assert ended_boxes(app, [second, first, unknown], hosts, CALLER) == (
        EndedBox("i-3", None, WEST, "user", "state-reason", None, None, yours=False),
        EndedBox("i-1", None, WEST, "user", "state-reason", first.ended_at, CALLER, yours=True),
        EndedBox("i-2", "aws-gpu7", WEST, "user", "state-reason", second.ended_at, "AIDA", yours=False),
    )


def test_a_box_that_ended_by_itself_can_be_launched_again(gone, app, cloud):
    """Not one that a user ended, of somebody else, without an alias here, or whose options are kept nowhere."""
    hosts = [factories.host(alias=f"aws-gpu{number}", instance_id=f"i-{number}") for number in range(1, 6)]
    hosts[1] = replace(hosts[1], settings="--spot")
    known = {"owner": CALLER, "settings": ""}
    gone_ones = (
        gone(SPOT, **known),
        gone(SPOT, owner=CALLER),
        gone(SPOT, owner=CALLER),
        gone(USER, **known),
        gone(SPOT, owner="AIDA", settings=""),
        gone(SPOT, **known),
    )
    boxes = ended_boxes(app, gone_ones, hosts, CALLER)
    offered = [(PROGRAM, "relaunch", "aws-gpu1"), (PROGRAM, "relaunch", "aws-gpu2")]
    assert [command.argv for command in of_ended(boxes)] == offered
    report = StatusReport((), (WEST,), (), (), ended=boxes)
    assert [command.argv for command in next_commands(report)] == [*offered, (PROGRAM, "launch")]
    lines = unstyle(text(report)).splitlines()
    assert [line.split()[-2:] for line in lines if "Launch it again" in line] == [
        ["relaunch", "aws-gpu1"],
        ["relaunch", "aws-gpu2"],
    ]


# --- status ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(app, cloud, box):
    """A box that runs, and one that the user terminated, which both have an alias."""
    running, ended = box(), box()
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ended])
    cloud.calls.clear()
    return running, ended


def test_status_lists_what_has_ended_apart_without_a_further_call(run, cloud, two):
    running, ended = two
    done = run("status", "-r", WEST, "-o", "json")
    shown = json.loads(done.stdout)
    schema_check.check(("status",), shown)
    assert done.exit_code == 0
    assert [box["instance_id"] for box in shown["instances"]] == [running]
    (box,) = shown["ended"]
    assert datetime.fromisoformat(box.pop("ended_at")) > NOON
    assert box == {
        "instance_id": ended,
        "ssh_alias": "aws-gpu2",
        "region": WEST,
        "reason": "user",
        "source": "state-reason",
        "owner": CALLER,
        "yours": True,
    }
    described = Counter(operation for _, operation in cloud.calls if operation.startswith(("Describe", "GetConsole")))
    assert described == {"DescribeInstances": 1, "DescribeVolumes": 1}


def test_status_shows_what_has_ended_as_text_and_as_a_table(run, two):
    _, ended = two
    text = run("status", "-r", WEST).stdout
    (line,) = [line for line in text.splitlines() if ended in line]
    assert line.split()[:3] == [ended, "aws-gpu2", WEST]
    assert "UTC  terminated by a user" in line
    assert "Boxes that have ended" in text
    table = run("status", "-r", WEST, "-o", "table").stdout
    (line,) = [line for line in table.splitlines() if ended in line]
    assert "state-reason" in line


def test_status_of_an_account_without_ended_boxes_says_nothing_of_them(run, box):
    box()
    assert "have ended" not in run("status", "-r", WEST).stdout
    assert json.loads(run("status", "-r", WEST, "-o", "json").stdout)["ended"] == []


def test_other_commands_do_not_see_what_has_ended(app, cloud, two):
    running, ended = two
    assert [one.instance_id for one in ec2.find_instances(cloud.ec2(WEST))] == [running]
    found = ec2.find_instances(cloud.ec2(WEST), terminated=True)
    assert {one.instance_id for one in found} == {running, ended}


def test_volumes_of_an_ended_box_are_orphans_and_its_alias_is_stale(run, app, cloud, two):
    _, ended = two
    assert json.loads(run("cleanup", "--dry-run", "-o", "json").stdout)["stale"] == [
        {"instance_id": ended, "alias": "aws-gpu2"}
    ]
    assert len(sshconfig.hosts(app.paths.ssh_config.read_text())) == 2


def test_each_reason_has_its_words():
    assert set(REASONS) == {"spot-interruption", "deadline", "idle", "cost-cap", "run", "user", "unknown"}
