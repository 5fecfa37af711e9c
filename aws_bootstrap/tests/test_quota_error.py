"""What new accounts are told: no quota yet, a quota that EC2 releases late, verification, the free plan."""

from __future__ import annotations

import pytest

from aws_bootstrap.tests.programs import Program, writes

FREE_PLAN = (
    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
    "'describe-instance-types' with the filter 'free-tier-eligible=true'."
)
GVT_SPOT = "L-3819A6DF"
USED_UP = {"error": "MaxSpotInstanceCountExceeded", "message": "Max spot instance count exceeded"}
PENDING = {"error": "PendingVerification", "message": "Your request for accessing resources is being validated."}


def attempts(program: Program) -> int:
    return len(program.sandbox.log("RunInstances"))


def refuse(program: Program, do: dict[str, str], *, times: int | None = None) -> None:
    program.sandbox.fault(action="RunInstances", do=do, times=times)


def test_the_free_plan_has_its_own_sentence_and_ends_the_search(program):
    refuse(program, {"error": "InvalidParameterCombination", "message": FREE_PLAN})
    code, failed = program.json("launch", "--wait", "-r", "us-west-2", "-r", "us-east-1")
    assert code == 1
    assert failed["error"]["code"] == "account-plan"
    assert failed["error"]["message"] == "The account is on AWS's free plan, which has no GPU instances."
    assert "billing" in failed["error"]["hint"]
    assert attempts(program) == 1, "the plan is the account's: no region is another"


def test_another_combination_that_ec2_refuses_keeps_its_sentence(program):
    refuse(program, {"error": "InvalidParameterCombination", "message": "These do not go together."})
    _, failed = program.json("launch")
    assert (failed["error"]["code"], failed["error"]["message"]) == ("aws-error", "These do not go together.")


def test_an_account_that_is_being_verified_is_told_so(program):
    refuse(program, PENDING)
    code, failed = program.json("launch")
    assert code == 1
    assert failed["error"]["code"] == "account-pending"
    assert failed["error"]["message"].startswith("AWS is still verifying this account")
    assert "--wait" in failed["error"]["hint"]
    assert attempts(program) == 1


def test_the_verification_is_waited_for(program):
    refuse(program, PENDING, times=1)
    code, box = program.json("launch", "--no-setup", "--wait")
    assert code == 0
    assert [warning["code"] for warning in box["warnings"]] == ["account-pending"]
    assert attempts(program) == 2


def test_a_verification_that_takes_too_long_is_named_in_the_end(program):
    refuse(program, PENDING)
    code, failed = program.json("launch", "--wait", "--wait-timeout", "1s")
    assert (code, failed["error"]["code"]) == (1, "account-pending")


def test_a_quota_of_zero_has_its_own_sentence(program):
    program.sandbox.quota(GVT_SPOT, 0)
    code, failed = program.json("launch", "--wait")
    assert code == 1
    assert failed["error"]["code"] == "quota"
    assert failed["error"]["message"] == "The account's spot quota for g4dn.xlarge in us-west-2 is 0 vCPUs."
    assert "New accounts have no GPU quota" in failed["error"]["hint"]
    assert "quota request --family gvt --region us-west-2 --type spot --desired-value 8" in failed["error"]["hint"]
    assert attempts(program) == 1


@pytest.fixture
def just_ended(program):
    """Launch a box and terminate it."""
    assert program.json("launch", "--no-setup")[0] == 0
    assert program.json("terminate", "aws-gpu1", "--yes")[0] == 0
    program.sandbox.clear_log()


def test_a_box_that_has_just_ended_still_counts(program, just_ended):
    refuse(program, USED_UP)
    code, failed = program.json("launch")
    assert code == 1
    assert failed["error"]["code"] == "quota"
    assert "the box that has just ended still counts" in failed["error"]["message"]
    assert "in a few minutes" in failed["error"]["hint"]
    assert "quota request" not in failed["error"]["hint"]
    assert [action for action in writes(program) if action != "RunInstances"] == []


def test_a_quota_that_is_too_small_for_the_type_is_not_waited_for(program, just_ended):
    """Whatever has ended: a quota of 4 vCPUs never allows the 8 of a g4dn.2xlarge."""
    program.sandbox.quota("L-3819A6DF", 4)
    code, failed = program.json("launch", "--instance-type", "g4dn.2xlarge", "--wait", "--wait-timeout", "30s")
    assert (code, failed["error"]["code"]) == (1, "quota")
    assert "still counts" not in failed["error"]["message"]
    assert "quota request --family gvt --region us-west-2" in failed["error"]["hint"]
    assert attempts(program) == 1


def test_the_quota_of_a_box_that_has_just_ended_is_waited_for(program, just_ended):
    refuse(program, USED_UP, times=1)
    code, box = program.json("launch", "--no-setup", "--wait")
    assert code == 0
    assert box["pricing"] == "spot"
    assert [warning["code"] for warning in box["warnings"]] == ["quota"]


def test_a_spot_box_that_has_ended_says_nothing_about_the_on_demand_quota(program, just_ended):
    refuse(program, {"error": "VcpuLimitExceeded", "message": "limit exceeded"})
    _, failed = program.json("launch", "--on-demand")
    assert failed["error"]["message"] == "The account's vCPU quota does not allow another g4dn.xlarge."
    assert "quota request" in failed["error"]["hint"]


def test_ended_boxes_that_cannot_be_read_leave_the_quota_commands(program, just_ended):
    refuse(program, USED_UP)
    program.sandbox.fault(action="DescribeInstances", do={"error": "UnauthorizedOperation"})
    _, failed = program.json("launch")
    assert "quota request" in failed["error"]["hint"]
