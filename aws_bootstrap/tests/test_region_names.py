"""A region whose name is misspelt, or that the account has not enabled: the error names it, and what was meant."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError
from click.testing import CliRunner

from aws_bootstrap.app import App
from aws_bootstrap.aws import call_region
from aws_bootstrap.cli import main
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.paths import Paths

UNKNOWN = "AWS refuses calls in a region us-wset-2, and boto3 knows no region of that name."
CREDENTIALS = (
    "They come from AWS_ACCESS_KEY_ID, or from a profile in ~/.aws. The AWS CLI shows which: aws configure list"
)
ENABLING = "https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"
COMMANDS = (
    "launch --dry-run",
    "status",
    "terminate --yes",
    "terminate i-0123456789abcdef0 --yes",
    "access",
    "cleanup --dry-run",
    "list amis",
    "list instance-types",
    "quota show",
    "quota history",
)


@pytest.fixture
def sandboxed(session_sandbox, monkeypatch):
    """The program in this process with the sandbox, which refuses a region that does not exist, as AWS does."""
    session_sandbox.start()
    session_sandbox.wipe()
    for name, value in session_sandbox.variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    def run(line: str, exit_code: int = 1) -> dict:
        done = CliRunner().invoke(main, [*line.split(), "-o", "json"], obj=App(paths=Paths()))
        assert done.exit_code == exit_code
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("line", COMMANDS)
def test_a_misspelt_region_is_named_with_the_one_that_was_meant(sandboxed, line):
    error = sandboxed(f"{line} --region us-wset-2")["error"]
    assert (error["code"], error["message"]) == ("bad-region", UNKNOWN)
    assert error["hint"] == (
        "Did you mean us-west-2?\n"
        "Choose another region: --region us-west-2\n"
        "Or correct the region of your profile, if it names this one.\n"
        f"If it is a new region, enable it: {ENABLING}"
    )


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("AWS_REGION", "launch --dry-run"),
        ("AWS_REGION", "status"),
        ("AWS_REGION", "setup i-0123456789abcdef0"),
        ("AWS_DEFAULT_REGION", "terminate --yes"),
        ("AWS_DEFAULT_REGION", "cleanup --dry-run"),
    ],
)
def test_a_misspelt_region_of_the_environment_is_corrected_there(sandboxed, monkeypatch, variable, line):
    monkeypatch.setenv(variable, "us-wset-2")
    error = sandboxed(line)["error"]
    assert (error["code"], error["message"]) == ("bad-region", UNKNOWN)
    assert error["hint"] == (
        f"Did you mean us-west-2?\nChoose another region: export {variable}=us-west-2\n"
        f"If it is a new region, enable it: {ENABLING}"
    )


def test_a_misspelt_region_of_the_profile(sandboxed, monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text("[default]\nregion = us-wset-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    error = sandboxed("status")["error"]
    assert (error["code"], error["message"]) == ("bad-region", UNKNOWN)
    assert "Or correct the region of your profile, if it names this one." in error["hint"]


def test_a_region_that_is_not_enabled_is_named(sandboxed):
    error = sandboxed("status --region af-south-1")["error"]
    sentence = "AWS does not accept these credentials in af-south-1, or the region is not enabled for the account."
    assert (error["code"], error["message"]) == ("invalid-credentials", sentence)
    assert error["hint"] == (
        "Try the credentials in a region that every account has: aws-bootstrap --sandbox status --region us-east-1\n"
        f"{CREDENTIALS}\n"
        f"Enable a region: {ENABLING}"
    )
    assert [command["do"] for command in error["next"]] == ["status", "aws"]


def test_in_a_region_that_every_account_has_it_is_the_credentials(sandboxed, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7UNKNOWN")
    error = sandboxed("status --region us-east-1")["error"]
    assert error["message"] == "AWS does not accept these credentials in us-east-1."
    assert error["hint"] == CREDENTIALS


def unresolved(region: str) -> None:
    raise EndpointConnectionError(endpoint_url=f"https://ec2.{region}.amazonaws.com/")


def test_on_aws_a_misspelt_region_has_no_address():
    with pytest.raises(BootstrapError) as caught:
        call_region("us-wset-2", unresolved)
    assert str(caught.value) == "There is no address of a region us-wset-2, and boto3 knows no region of that name."
    assert caught.value.code == "bad-region"
    assert caught.value.hint == (
        "Did you mean us-west-2?\n"
        "Choose another region: --region us-west-2\n"
        "Or correct the region of your profile, if it names this one."
    )


@pytest.mark.parametrize("region", ["us-west-2", "ap-southeast-7"])
def test_without_a_network_no_known_region_is_blamed(region):
    with pytest.raises(BootstrapError) as caught:
        call_region(region, unresolved)
    assert caught.value.code == "unreachable"


def test_a_region_newer_than_boto3_is_tried(cloud):
    assert call_region("us-future-1", lambda region: f"{region} answers") == "us-future-1 answers"


def test_a_slow_answer_is_no_matter_of_the_name():
    def slow(region: str) -> None:
        raise ConnectTimeoutError(endpoint_url="x")

    with pytest.raises(BootstrapError) as caught:
        call_region("us-wset-2", slow)
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("us-est-1", "us-west-1 or us-east-1"),
        ("us-west-22", "us-west-2"),
        ("eu-cental-1", "eu-central-1 or me-central-1"),
        ("eu-central", "eu-central-2 or eu-central-1"),
        ("uswest2", "us-west-2"),
    ],
)
def test_what_was_meant(typed, meant):
    with pytest.raises(BootstrapError) as caught:
        call_region(typed, unresolved)
    assert str(caught.value.hint).startswith(f"Did you mean {meant}?\n")


def test_nothing_is_proposed_for_a_name_unlike_any():
    with pytest.raises(BootstrapError) as caught:
        call_region("atlantis-9", unresolved)
    assert str(caught.value.hint).startswith("Choose another region: --region us-east-1\n")


def test_among_several_regions_the_misspelt_one_is_named(sandboxed):
    seen = sandboxed("status -r us-wset-2 -r us-west-2", exit_code=3)
    assert seen["regions_failed"] == [{"region": "us-wset-2", "error": UNKNOWN}]
