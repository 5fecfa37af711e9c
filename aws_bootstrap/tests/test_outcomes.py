"""Which error a result amounts to: every result that can be less than was asked for, and its exit code and hint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aws_bootstrap.errors import BootstrapError, IncompleteError
from aws_bootstrap.invocation import PROGRAM, SSH
from aws_bootstrap.models import (
    AccessReport,
    BoxAccess,
    CleanupPlan,
    CleanupReport,
    CompletionScript,
    DeletedVolume,
    EbsVolume,
    ImageList,
    InstanceTypeList,
    LaunchReport,
    Notice,
    QuotaHistory,
    QuotaReport,
    QuotaRequests,
    RegionFailure,
    RegionReason,
    Resource,
    Result,
    SetupReport,
    StatusReport,
    TerminateReport,
)
from aws_bootstrap.outcomes import error_for

EAST, WEST = "us-east-1", "us-west-2"
UNREAD = (RegionFailure(EAST, "Access was denied."), RegionFailure("eu-west-1", "A timeout."))
LAUNCH = LaunchReport(
    instance_id="i-1",
    public_ip="203.0.113.9",
    instance_type="g4dn.xlarge",
    availability_zone=f"{WEST}a",
    ami_id="ami-1",
    pricing="spot",
    region=WEST,
    regions_tried=(WEST,),
    ssh_alias="aws-gpu1",
    setup="completed",
)
CLEANUP = CleanupReport((WEST,), (), (), (), (), ())
FAILED = DeletedVolume("vol-2", 8, deleted=False, error="It is in use.")


def told(result: Result) -> BootstrapError:
    error = error_for(result)
    assert error
    return error


@pytest.mark.parametrize(
    "result",
    [
        CompletionScript("bash", "complete"),
        TerminateReport(()),
        StatusReport((), (WEST,), (), ()),
        AccessReport((), None, (WEST,), ()),
        CleanupPlan((WEST,), (), (), (), (), ()),
        CLEANUP,
        ImageList(()),
        InstanceTypeList(()),
        QuotaReport((), (WEST,)),
        QuotaHistory((), (WEST,)),
        QuotaRequests(()),
        LAUNCH,
        replace(LAUNCH, setup="skipped"),
        SetupReport("i-1", "aws-gpu1", "completed"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_whole_result_is_no_error(result):
    assert error_for(result) is None


@pytest.mark.parametrize(
    "result",
    [
        StatusReport((), (WEST, EAST), UNREAD, ()),
        AccessReport((), None, (WEST, EAST), UNREAD),
        ImageList((), UNREAD),
        InstanceTypeList((), UNREAD),
        QuotaReport((), (WEST, EAST), UNREAD),
        QuotaHistory((), (WEST, EAST), UNREAD),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_view_that_lacks_regions_is_incomplete(result):
    error = told(result)
    assert (error.exit_code, error.code) == (3, "region-failed")
    assert str(error) == f"Could not read {EAST}, eu-west-1: A timeout."
    assert error.hint == "Boxes and volumes there may exist. Run the command again, or choose regions with --region."


def test_a_cleanup_that_lacks_regions_says_that_nothing_is_removed():
    for result in (replace(CLEANUP, regions_failed=UNREAD), CleanupPlan((WEST,), UNREAD, (), (), (), ())):
        error = told(result)
        assert (error.exit_code, error.code) == (3, "region-failed")
        assert str(error.hint).startswith("What is there stays as it is")


def test_rules_that_could_not_be_changed_everywhere_are_said():
    box = BoxAccess("i-1", WEST, "aws-gpu1", 22, True, (), added=(), removed=())
    error = told(AccessReport((box,), None, (WEST, EAST), UNREAD))
    assert str(error).startswith(f"Could not read or change {EAST}, eu-west-1: ")
    assert error.hint == "The rules there are unchanged, or unknown. Run the command again."
    only_read = replace(box, added=None, removed=None)
    assert str(told(AccessReport((only_read,), None, (WEST, EAST), UNREAD))).startswith("Could not read us-east-1")


def test_a_box_whose_gpu_is_not_known_makes_the_status_incomplete():
    unknown = Notice("gpu-unknown", "aws-gpu1 does not answer.")
    error = told(StatusReport((), (WEST,), (), (), warnings=(Notice("other", "x"), unknown)))
    assert (error.exit_code, error.code, str(error)) == (3, "gpu-unknown", "aws-gpu1 does not answer.")
    assert error_for(StatusReport((), (WEST,), (), (), warnings=(Notice("other", "x"),))) is None


@pytest.mark.parametrize(
    ("others", "kind"), [((), BootstrapError), ((DeletedVolume("vol-1", 8, True),), IncompleteError)]
)
def test_a_volume_that_is_still_there_is_named(others, kind):
    error = told(replace(CLEANUP, deleted_volumes=(*others, FAILED)))
    assert type(error) is kind
    assert error.code == "volume-not-deleted"
    assert str(error) == "Could not delete vol-2: It is in use."
    assert error.hint == f"Show what remains: {PROGRAM} status"


def test_requests_that_aws_refused_in_some_regions_are_said_with_each_reason():
    error = told(QuotaRequests((), UNREAD))
    assert error.exit_code == 3
    assert error.hint == f"Show the sent requests: {PROGRAM} quota history"
    assert str(error) == f"The request failed in {EAST}, eu-west-1: Access was denied."
    assert error.report.regions == tuple(RegionReason(failure.region, failure.error) for failure in UNREAD)


CONTINUE, UNDO = f"Continue: {PROGRAM} setup aws-gpu1", f"Undo: {PROGRAM} terminate aws-gpu1"


def test_a_setup_that_failed_says_where_why_and_how_to_go_on():
    failed: dict[str, Any] = {"setup": "failed", "setup_failed_step": "gpu", "setup_failed_reason": "no card"}
    setup_again = SetupReport("i-1", "aws-gpu1", "completed")
    # `setup` did not create the box: to terminate it, with its data, undoes nothing.
    for report, undo in ((LAUNCH, [UNDO]), (setup_again, [])):
        result = replace(report, **failed)
        error = told(result)
        assert (error.exit_code, error.code) == (3, "setup-failed")
        assert str(error) == "The setup of aws-gpu1 failed at the step gpu: no card."
        assert str(error.hint).splitlines() == [
            f"Show the log: {SSH} aws-gpu1 tail -n 50 .aws-bootstrap/setup.log",
            CONTINUE,
            *undo,
        ]
    without_reason = replace(LAUNCH, **failed | {"setup_failed_reason": None})
    assert str(told(without_reason)) == "The setup of aws-gpu1 failed at the step gpu."


@pytest.mark.parametrize(("unformatted", "ways"), [(False, [CONTINUE, UNDO]), (True, [UNDO])])
def test_a_volume_that_is_not_mounted_says_what_helps(unformatted, ways):
    """Another setup would have no leave to format it either."""
    result = replace(LAUNCH, volume_error="no disk", volume_hint="Look at it.", volume_unformatted=unformatted)
    error = told(result)
    assert (error.exit_code, error.code, str(error)) == (3, "mount-failed", "The data volume is not mounted: no disk")
    assert str(error.hint).splitlines() == ["Look at it.", *ways]


def test_what_a_launch_made_is_listed_with_its_error():
    """The user's own volume is not among it, and a box without an alias is named by its id."""
    group = Resource("security-group", "sg-1", WEST, billing=False)
    volume = EbsVolume("vol-1", "/data", 8, mounted=False)
    broken = replace(LAUNCH, ssh_alias=None, volume_error="no disk", ebs_volume=volume, other_resources=(group,))
    instance = Resource("instance", "i-1", WEST, billing=True)
    assert told(broken).report.resources == (instance, group)
    assert "terminate i-1" in str(told(broken).hint)
    created = replace(broken, volume_created=True)
    assert told(created).report.resources == (instance, Resource("volume", "vol-1", WEST, billing=True), group)
