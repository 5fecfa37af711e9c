"""--timings: where the time of a command went."""

from __future__ import annotations

import json

import pytest
from click import unstyle

from aws_bootstrap import timings
from aws_bootstrap.models import Timing
from aws_bootstrap.tests.factories import Clock
from aws_bootstrap.timings import BoxSteps, Recorder
from aws_bootstrap.views.timings import waterfall


@pytest.fixture(autouse=True)
def _unrecorded():
    """Record nothing after the test: one process runs them all."""
    yield
    timings.record(None)


@pytest.fixture
def clock():
    """The clock of a recorder that records during the test."""
    clock = Clock(now=100.0)
    timings.record(Recorder(clock))
    return clock


def test_a_block_is_recorded_whether_or_not_it_succeeds(clock):
    clock.sleep(1.5)
    with timings.measured("step", "Launch"):
        clock.sleep(2.25)
    with pytest.raises(ValueError, match="no"), timings.measured("ssh", "aws-gpu1"):
        clock.sleep(0.5)
        raise ValueError("no")
    assert timings.recorded() == (Timing("step", "Launch", 1.5, 2.25), Timing("ssh", "aws-gpu1", 3.75, 0.5))


def test_they_are_in_the_order_in_which_they_began(clock):
    with timings.measured("step", "whole"):
        clock.sleep(1)
        with timings.measured("step", "part"):
            clock.sleep(1)
    assert timings.recorded() == (Timing("step", "whole", 0, 2), Timing("step", "part", 1, 1))


def test_the_steps_of_a_setup_are_read_from_what_it_prints(clock):
    steps = BoxSteps()
    for seconds, line in [
        (1, "==> System packages"),
        (1, "==> Nsight tools"),
        (2, "    Nsight tools: unchanged"),
        (3, "    | a line of output: of a failed step"),
        (1, "    System packages: FAILED: the package mirror does not answer: http://mirror"),
        (1, "    System packages: FAILED: said again"),
    ]:
        clock.sleep(seconds)
        steps.read(line)
    assert timings.recorded() == (Timing("box", "System packages", 1, 7), Timing("box", "Nsight tools", 2, 2))


def test_nothing_is_recorded_unless_it_is_requested():
    with timings.measured("step", "Launch"):
        BoxSteps().read("==> System packages")
    assert timings.recorded() is None


def test_calls_of_one_name_that_overlap_share_a_line():
    text = unstyle(
        waterfall(
            [
                Timing("step", "Read", 0.0, 4.0),
                Timing("aws", "DescribeInstances", 0.0, 1.0, "us-west-2"),
                Timing("aws", "DescribeInstances", 0.5, 1.5, "eu-west-1"),
                Timing("aws", "DescribeInstances", 3.99, 0.0, "us-west-2"),
            ]
        )
    )
    assert text.splitlines() == [
        "Timings, 4.00 s in all",
        "  start     s",
        "   0.00  4.00  ████████████████████████████████  step  Read",
        "   0.00  2.00  ████████████████                  aws   DescribeInstances ×2 (slowest: eu-west-1, 1.50 s)",
        "   3.99  0.00                                 █  aws   DescribeInstances us-west-2",
    ]


def test_without_any_timing_that_is_said():
    assert unstyle(waterfall([])) == "Timings: nothing was measured"


def test_a_document_has_each_call_with_its_region(run, cloud):
    done = json.loads(run("status", "--timings", "-o", "json").stdout)
    calls = sorted((row["region"], row["name"]) for row in done["timings"])
    assert calls == sorted(cloud.calls)
    assert {row["what"] for row in done["timings"]} == {"aws"}
    assert all(row["seconds"] >= 0 <= row["start"] for row in done["timings"])


def test_the_option_may_precede_the_command(run, cloud):
    assert json.loads(run("--timings", "status", "-o", "json").stdout)["timings"]


def test_an_error_has_the_calls_that_failed(run, cloud):
    cloud.fail("DescribeInstances", "UnauthorizedOperation")
    done = run("status", "-r", "us-west-2", "--timings", "-o", "json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["code"]) == (1, "access-denied")
    assert "DescribeInstances" in [row["name"] for row in document["timings"]]


@pytest.mark.parametrize("output_format", ["text", "table"])
def test_a_person_sees_them_beside_the_result(run, cloud, output_format):
    done = run("status", "-r", "us-west-2", "--timings", "-o", output_format)
    assert "Timings, " in done.stderr
    assert " aws  DescribeInstances us-west-2" in done.stderr
    assert "Timings" not in done.stdout


def test_a_person_sees_them_beside_an_error(run, cloud):
    cloud.fail("DescribeInstances", "UnauthorizedOperation")
    assert " aws  DescribeInstances us-west-2" in run("status", "-r", "us-west-2", "--timings").stderr


def test_a_document_that_is_a_bare_list_has_them_beside_it(run, cloud):
    done = run("list", "amis", "--timings", "-o", "json")
    assert isinstance(json.loads(done.stdout), list)
    assert " aws  DescribeImages us-west-2" in done.stderr


@pytest.mark.parametrize("output_format", ["json", "yaml", "text", "table"])
def test_without_the_option_there_are_none(run, cloud, output_format):
    run("status", "--timings")
    done = run("status", "-o", output_format)
    assert "imings" not in done.stdout + done.stderr


def test_a_launch_has_its_steps(launch):
    code, document = launch("--timings")
    steps = [row["name"] for row in document["timings"] if row["what"] == "step"]
    assert code == 0
    assert steps[-3:] == ["Wait for the instance", "Write the SSH alias", "Wait for SSH"]
