"""How printed commands begin: the marks are filled in once, by the console, in every format."""

from __future__ import annotations

import json

import pytest
import yaml

from aws_bootstrap import output
from aws_bootstrap.console import Console, OutputFormat
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.invocation import PROFILE, PROGRAM, SSH, Invocation
from aws_bootstrap.models import KeptVolume, TerminateReport, Termination

HERE = Invocation(program="uv run aws-bootstrap --sandbox", ssh="ssh -F '/my dir/config'", profile="my team")


@pytest.fixture
def console():
    """A console of this user and shell; the usual one is put back."""
    console = Console(invocation=lambda: HERE)
    output.use(console)
    yield console
    output.use(Console())


def test_each_mark_is_replaced():
    text = f"{PROGRAM} status; {SSH} aws-gpu1; aws sso login{PROFILE}"
    assert HERE.fill(text) == (
        "uv run aws-bootstrap --sandbox status; ssh -F '/my dir/config' aws-gpu1; aws sso login --profile 'my team'"
    )


def test_without_a_profile_none_is_named():
    assert Invocation().fill(f"aws sso login{PROFILE}") == "aws sso login"


def test_other_braces_stay():
    assert Invocation().fill("${HOME} {} {ssh-port} {program}") == "${HOME} {} {ssh-port} {program}"


@pytest.mark.parametrize(
    ("output_format", "parse"), [(OutputFormat.JSON, json.loads), (OutputFormat.YAML, yaml.safe_load)]
)
def test_a_document_has_the_users_commands(console, capsys, output_format, parse):
    console.begin(output_format)
    output.warn(f"Try {PROGRAM} cleanup.", code="no-alias")
    output.emit_error(BootstrapError("It failed.", hint=f"Log in: {SSH} aws-gpu1"))
    document = parse(capsys.readouterr().out)
    assert document["error"]["hint"] == "Log in: ssh -F '/my dir/config' aws-gpu1"


def test_a_path_with_quotes_leaves_json_whole(console, capsys):
    console.invocation = lambda: Invocation(ssh="""ssh -F '/my "dir"/config'""")
    console.begin(OutputFormat.JSON)
    output.emit_error(BootstrapError("It failed.", hint=f"Log in: {SSH} aws-gpu1"))
    assert json.loads(capsys.readouterr().out)["error"]["hint"] == """Log in: ssh -F '/my "dir"/config' aws-gpu1"""


def test_a_view_has_the_users_commands(console, capsys):
    kept = KeptVolume("vol-1", 8, "us-west-2", 0.64)
    ended = Termination("i-1", "running", "shutting-down", region="us-west-2", kept_volumes=(kept,))
    output.emit(TerminateReport((ended,)))
    assert "uv run aws-bootstrap --sandbox launch --region us-west-2 --ebs-volume-id vol-1" in capsys.readouterr().out


def test_progress_and_questions_have_the_users_commands(console, capsys, monkeypatch):
    output.info(f"Look: {PROGRAM} status")
    output.warn(f"Try {PROGRAM} cleanup.")
    shown = capsys.readouterr().err
    assert "Look: uv run aws-bootstrap --sandbox status" in shown
    assert "Try uv run aws-bootstrap --sandbox cleanup." in shown


def test_how_commands_begin_is_found_out_once_a_document():
    """It searches the PATH: once for each text of 1,700 boxes would take longer than AWS does."""
    looked: list[Invocation] = []

    def look() -> Invocation:
        looked.append(HERE)
        return HERE

    boxes = [{"state": "running", "hint": f"{PROGRAM} status", "next": [PROGRAM, "status"]} for _ in range(100)]
    filled = Console(invocation=look).filled({"instances": boxes})
    assert len(looked) == 1
    assert filled["instances"][99] == {
        "state": "running",
        "hint": "uv run aws-bootstrap --sandbox status",
        "next": ["uv", "run", "aws-bootstrap", "--sandbox", "status"],
    }
