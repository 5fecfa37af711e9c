"""How the client reads what a setup says of itself."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import output
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.models import SetupReport
from aws_bootstrap.ssh import Remote, Ssh
from aws_bootstrap.workflows import provision
from aws_bootstrap.workflows.provision import SetupOutcome

MARK = "@aws-bootstrap-report"
FAILED = {"failed_step": "gpu", "cuda_version": "12.8", "steps": [{"name": "gpu", "message": "no GPU answers"}]}


class Box(Ssh):
    """A box that answers the setup with these lines and this exit code."""

    def __init__(self, exit_code: int, *lines: str) -> None:
        super().__init__()
        self.answer = Remote(exit_code, lines)

    def run(self, alias, command, **options):
        return self.answer


def set_up(exit_code: int, *lines: str) -> SetupOutcome:
    return provision.set_up(Box(exit_code, *lines), "aws-gpu1")


def test_a_setup_that_completed():
    report = json.dumps({"failed_step": None, "cuda_version": "12.8", "steps": []})
    assert set_up(0, "==> GPU", MARK, report) == SetupOutcome("completed", None, "12.8")


def test_a_step_that_failed_is_named_with_its_reason_and_the_cuda_version():
    assert set_up(1, MARK, json.dumps(FAILED)) == SetupOutcome("failed", "gpu", "12.8", "no GPU answers")


def test_a_step_that_warns_is_among_the_warnings():
    """It does not fail the setup, so nothing else in the document tells it."""
    output.use(Console(OutputFormat.JSON))
    step = {"name": "cuda-test", "title": "CUDA test", "outcome": "warning", "message": "no GPU answers"}
    odd = [7, {"outcome": "warning"}, {"outcome": ["warning"], "message": "x"}]
    set_up(0, MARK, json.dumps({"steps": [step, *odd, {"name": "venv", "outcome": "ok", "message": "made"}]}))
    told = output.with_warnings(SetupReport("i-1", "aws-gpu1", "completed")).warnings
    output.use(Console(OutputFormat.TEXT))
    assert [(w.code, w.message) for w in told] == [("setup-warning", "CUDA test: no GPU answers")]


@pytest.mark.parametrize(
    "report", ["[1]", "7", "null", "", "{", "[" * 200_000], ids=["list", "number", "null", "nothing", "half", "deep"]
)
def test_a_report_that_makes_no_sense_is_a_failed_setup(report):
    outcome = set_up(1, "==> GPU", MARK, report)
    assert (outcome.setup, outcome.failed_step) == ("failed", "start")
    assert outcome.message
    assert outcome.message.startswith("it ended with exit status 1: ")
    assert len(outcome.message) < 300


@pytest.mark.parametrize("steps", [None, 7, [7], [{}], [{"name": "gpu"}], [{"name": "gpu", "message": 7}]])
def test_fields_that_make_no_sense_count_as_missing(steps):
    report = json.dumps({"failed_step": "gpu", "cuda_version": 12.8, "steps": steps})
    assert set_up(1, MARK, report) == SetupOutcome("failed", "gpu", None, None)
    assert set_up(1, MARK, json.dumps({"failed_step": ["gpu"]})).failed_step == "unknown"


def test_files_that_do_not_arrive_are_a_failed_upload_in_the_boxs_own_words():
    outcome = set_up(74, "tar: run_steps.py: Cannot write: No space left on device")
    assert (outcome.setup, outcome.failed_step) == ("failed", "upload")
    words = "tar: run_steps.py: Cannot write: No space left on device"
    assert outcome.message == f"its files could not be uploaded: {words}"


def test_a_setup_that_was_killed_is_not_reported_as_an_upload_that_failed():
    outcome = set_up(137, "==> GPU")
    assert outcome == SetupOutcome("failed", "start", None, "it ended with exit status 137: ==> GPU")
