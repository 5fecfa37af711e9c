"""The AWS door: many regions at once, one that falls silent, replies that lack something."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_bootstrap import silence
from aws_bootstrap.aws import (
    REGION_SECONDS,
    Aws,
    change_each_region,
    each_region,
    translate_aws_errors,
    without_waiting,
)
from aws_bootstrap.errors import AwsError, BootstrapError
from aws_bootstrap.parallel import gather, run_parallel
from aws_bootstrap.silence import SILENCE


def refuse():
    raise BootstrapError("refused")


def test_an_error_is_raised_only_when_the_other_calls_have_ended():
    """What they do must not go on while their failure is told."""
    raised, ended = threading.Event(), []

    def slow():
        raised.wait(0.2)
        ended.append("slow")

    with pytest.raises(BootstrapError):
        gather(slow, refuse)
    raised.set()
    assert ended == ["slow"]


def test_the_first_error_in_order_is_raised():
    first_may_fail = threading.Event()

    def first():
        first_may_fail.wait(5)
        raise BootstrapError("first")

    def second():
        first_may_fail.set()
        raise BootstrapError("second")

    with pytest.raises(BootstrapError, match="first"):
        gather(first, second)


def test_a_region_alone_needs_no_list_of_reasons():
    with pytest.raises(BootstrapError) as caught:
        each_region(["a"], lambda region: refuse())
    assert caught.value.report.regions == ()
    with pytest.raises(BootstrapError) as caught:
        each_region(["a", "b"], lambda region: refuse())
    assert [reason.region for reason in caught.value.report.regions] == ["a", "b"]


@pytest.mark.parametrize("ask", [each_region, change_each_region])
def test_a_bug_is_no_failed_region(ask):
    with pytest.raises(ZeroDivisionError):
        ask(["a"], lambda region: 1 / 0)


def test_a_command_that_ends_waits_for_no_call():
    assert run_parallel([lambda: threading.current_thread().daemon]) == [True]


# --- clients and regions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "config", "region"),
    [
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-1", "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-1", "eu-west-3"),
        ({}, "eu-west-1", "eu-west-1"),
        ({}, None, "us-west-2"),
    ],
)
def test_the_region_is_that_of_the_environment_then_of_the_profile(monkeypatch, environment, config, region):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if config:
        Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[default]\nregion = {config}\n")
    assert Aws().region == region


def test_the_profile_that_was_asked_for_is_used():
    Path(os.environ["AWS_CONFIG_FILE"]).write_text("[profile other]\nregion = eu-north-1\n")
    assert Aws("other").region == "eu-north-1"
    with pytest.raises(BootstrapError) as caught:
        Aws("none").ec2("eu-west-1")
    assert caught.value.code == "no-profile"


def test_secrets_of_the_environment_are_known_before_any_call(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    assert set(Aws().secrets()) == {"testing", "a-token"}


def test_secrets_that_are_renewed_are_known_too(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    keys = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "renewed-key", "SessionToken": "renewed-token"}
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps(keys | {"Expiration": "2999-01-01T00:00:00Z"}))
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[default]\ncredential_process = cat {answer}\n")
    aws = Aws()
    assert aws.secrets() == (), "nothing is read for it"
    aws.ec2("eu-west-1")
    assert set(aws.secrets()) == {"renewed-key", "renewed-token"}


def test_a_client_tells_who_we_are_and_has_bounds():
    aws = Aws(timeouts={"connect_timeout": 1, "read_timeout": 2})
    again: Any = aws.ec2("eu-west-1").meta.config
    once: Any = aws.ec2_once("eu-west-1").meta.config
    assert again.user_agent_extra == "aws-bootstrap"
    assert again.max_pool_connections == 20
    assert (again.connect_timeout, again.read_timeout) == (1, 2)
    assert [client.retries for client in (again, once)] == [
        {"mode": "standard", "total_max_attempts": 5},
        {"mode": "standard", "total_max_attempts": 1},
    ]
    usual: Any = Aws().ec2("eu-west-1").meta.config
    assert (usual.connect_timeout, usual.read_timeout) == (5, 20)
    assert aws.ec2("eu-west-1") is aws.ec2("eu-west-1"), "made once"


def test_prices_are_asked_where_the_price_list_lives(app):
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html"""
    assert app.aws.pricing().meta.region_name == "us-east-1"
    assert [c.meta.config.retries["total_max_attempts"] for c in (app.aws.pricing(), app.aws.service_quotas("x"))] == [
        5,
        5,
    ]


def test_an_error_without_a_message_still_says_something():
    with pytest.raises(AwsError, match="DescribeThings"), translate_aws_errors():
        raise ClientError({"Error": {"Code": "SomethingNew"}}, "DescribeThings")


# --- what AWS repeats ------------------------------------------------------------------------------------


def test_a_token_that_aws_repeats_is_not_shown(app, run, monkeypatch):
    """Its answer to a wrong signature holds what it expected to be signed, the session token among it."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    keys = "aws_access_key_id = AKIA\naws_secret_access_key = VERYSECRETKEY\naws_session_token = VERYSECRETTOKEN\n"
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(f"[default]\n{keys}")
    codes = iter(["SignatureDoesNotMatch", "InvalidSignatureException", "SomethingNew"])

    def answer(**_):
        message = "It should have been 'x-amz-security-token:VERYSECRETTOKEN' and VERYSECRETKEY"
        error = {"Code": next(codes), "Message": message}
        return SimpleNamespace(status_code=403), {"Error": error, "ResponseMetadata": {}}

    app.aws.ec2("us-west-2").meta.events.register_first("before-call.ec2.DescribeInstances", answer)
    app.aws.ec2("us-west-2").meta.events.register_first("before-call.ec2.DescribeVolumes", none)
    for _ in range(3):
        outcome = run("status", "-r", "us-west-2", "--debug", "-o", "json")
        assert outcome.exit_code == 1
        assert "Traceback" in outcome.stderr
        assert "VERYSECRET" not in outcome.stdout + outcome.stderr


def none(**_):
    return SimpleNamespace(status_code=200), {"Volumes": [], "ResponseMetadata": {}}


# --- regions that fall silent ----------------------------------------------------------------------------


@pytest.fixture
def silent():
    """`silent(region)` asks a server that accepts and never answers, as a hanging region does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def ask(region):
            keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
            config = Config(read_timeout=5, retries={"total_max_attempts": 1})
            client = boto3.client("sts", region_name=region, endpoint_url=url, config=config, **keys)  # type: ignore[call-overload]
            SILENCE.watch(client)
            return client.get_caller_identity()

        yield ask


def test_a_region_that_falls_silent_does_not_hold_up_the_others(silent, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "0.3")
    told: list[str] = []
    silence.report_to(told.append)
    found, failed = each_region(["a", "b", "c"], lambda r: silent(r) if r == "b" else r)
    silence.report_to(lambda message: None)
    assert found == {"a": "a", "c": "c"}
    assert [f.region for f in failed] == ["b"]
    assert "no answer within 0.3 s" in failed[0].error
    assert told == ["b does not answer; going on without it"]


def test_a_region_alone_is_given_up_later(silent, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "0.1")
    with pytest.raises(AwsError) as caught:
        each_region(["a"], silent)
    assert caught.value.code == "unreachable"
    assert caught.value.exit_code == 1


def test_while_most_regions_are_silent_they_are_waited_for_longer(silent, monkeypatch):
    """It may be this machine's own network."""
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "0.1")
    found, failed = each_region(["a", "b", "c"], lambda region: region if region == "a" else silent(region))
    assert found == {"a": "a"}
    assert [f.region for f in failed] == ["b", "c"]
    assert "no answer within 0.3 s" in failed[0].error
    _, failed = each_region(["a", "b"], lambda region: region if region == "a" else silent(region))
    assert "no answer within 0.1 s" in failed[0].error, "half of them have answered"


def test_what_can_be_done_without_hides_nothing_else(silent, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "2")

    def ask(region):
        with pytest.raises(AwsError, match="no answer within 1 s"):
            without_waiting(region, silent)
        return "read"

    assert each_region(["a", "b"], ask) == ({"a": "read", "b": "read"}, ())


def test_a_region_that_is_slow_but_owes_no_answer_is_waited_for(monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "0.01")
    other_answered = threading.Event()

    def ask(region):
        if region == "slow":
            other_answered.wait(5)
            threading.Event().wait(0.3)
        else:
            other_answered.set()
        return region

    assert each_region(["slow", "b"], ask) == ({"slow": "slow", "b": "b"}, ())


def test_a_change_is_waited_for(silent, monkeypatch):
    """What an unanswered request has changed would not be known."""
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", "0.01")
    ended = []

    def change(region):
        threading.Event().wait(0.3)
        ended.append(region)

    change_each_region(["a", "b"], change)
    assert sorted(ended) == ["a", "b"]


@pytest.mark.parametrize("named", ["soon", "0", "-1", "nan", "3600"])
def test_a_timeout_that_is_none_is_refused(run, cloud, monkeypatch, named):
    monkeypatch.setenv("AWS_BOOTSTRAP_REGION_TIMEOUT", named)
    outcome = run("status", "-r", "us-west-2", "-o", "json")
    assert outcome.exit_code == 2
    assert named in json.loads(outcome.stdout)["error"]["message"]


def test_a_region_that_hangs_is_waited_for_a_few_seconds():
    assert REGION_SECONDS <= 10


def test_a_region_that_hangs_is_reported_as_it_is_given_up(program):
    program.sandbox.fault(action="DescribeInstances", region="ap-south-1", do={"delay": 6})
    done = program("status", "-r", "ap-south-1", "-r", "us-west-2", env={"AWS_BOOTSTRAP_REGION_TIMEOUT": "1"})
    assert done.exit_code == 3
    assert "Warning: ap-south-1 does not answer; going on without it" in done.err


def test_prices_that_hang_do_not_hide_a_box(program):
    assert program("launch", "--no-setup", "-r", "us-west-2").exit_code == 0
    program.sandbox.fault(action="DescribeSpotPriceHistory", do={"delay": 15})
    code, seen = program.json("status", "-r", "us-west-2", env={"AWS_BOOTSTRAP_REGION_TIMEOUT": "3"})
    assert [box["ssh_alias"] for box in seen["instances"]] == ["aws-gpu1"]
    assert "regions_failed" in seen
    assert seen["regions_failed"] == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("GetServiceQuota|ListServiceQuotas", ["quota", "request", "--type", "spot", "--desired-value", "64", "--yes"]),
        ("DescribeVolumes", ["launch", "--ebs-volume-id", "vol-0123456789abcdef0", "--yes"]),
    ],
)
def test_what_is_read_before_a_change_has_a_deadline_too(program, action, words):
    program.sandbox.fault(action=action, do={"delay": 15})
    code, seen = program.json(*words, "-r", "us-west-2", env={"AWS_BOOTSTRAP_REGION_TIMEOUT": "0.5"})
    assert code == 1
    assert "no answer within 1.5 s" in seen["error"]["message"]
    assert not program.sandbox.log("RequestServiceQuotaIncrease")
    assert not program.sandbox.log("RunInstances")


def test_a_region_that_hangs_is_reported_and_the_rest_is_shown(program):
    program.sandbox.fault(action="Describe(Instances|Volumes)", region="ap-south-1", do={"delay": 6})
    regions = ["-r", "ap-south-1", "-r", "us-west-2"]
    code, seen = program.json("status", *regions, env={"AWS_BOOTSTRAP_REGION_TIMEOUT": "2"})
    assert code == 3
    assert [f["region"] for f in seen["regions_failed"]] == ["ap-south-1"]
    assert "no answer within 2 s" in seen["error"]["message"]
