"""Options that have no effect are refused before anything is read; one in the environment is for many commands."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap.tests.cloud import start_box

REFUSED = {
    ("terminate", "aws-gpu1", "--everyone", "--yes"): ("--everyone has no effect with names.", "Leave out: --everyone"),
    ("cleanup", "--include-kept", "--yes"): (
        "--include-kept has no effect without --include-ebs.",
        "Add: --include-ebs",
    ),
    ("cleanup", "--key-path", "key.pub", "--yes"): ("--key-path has no effect without --sync.", "Add: --sync"),
    ("cleanup", "--ssh-user", "ubuntu", "--yes"): ("--ssh-user has no effect without --sync.", "Add: --sync"),
    ("access", "--everyone"): ("--everyone has no effect without --ssh-cidr.", "Add: --ssh-cidr me"),
    ("access", "aws-gpu1", "--yes"): ("--yes has no effect without --ssh-cidr.", "Add: --ssh-cidr me"),
    ("access", "--tag", "team=vision"): ("--tag has no effect without --ssh-cidr.", "Add: --ssh-cidr me"),
    ("launch", "--wait-timeout", "5m"): ("--wait-timeout has no effect without --wait.", "Add: --wait"),
    ("launch", "--no-setup", "--python-version", "3.13"): (
        "--python-version has no effect with --no-setup.",
        "Leave out: --no-setup",
    ),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_an_option_without_effect_is_refused(run, cloud, words):
    done = run(*words, "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (2, "usage")
    assert (error["message"], error["hint"]) == REFUSED[words]
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("cleanup", "--yes"), ("CLEANUP_EVERYONE", "CLEANUP_INCLUDE_KEPT")),
        (("cleanup", "--dry-run"), ("CLEANUP_EVERYONE",)),
        (("access",), ("ACCESS_EVERYONE",)),
    ],
    ids=str,
)
def test_an_option_of_the_environment_may_have_no_effect(run, cloud, my_address, monkeypatch, words, variables):
    for name in variables:
        monkeypatch.setenv(f"AWS_BOOTSTRAP_{name}", "1")
    monkeypatch.setenv("AWS_BOOTSTRAP_CLEANUP_SSH_USER", "ubuntu")
    monkeypatch.setenv("AWS_BOOTSTRAP_CLEANUP_KEY_PATH", "key.pub")
    assert run(*words).exit_code == 0


def test_a_named_box_is_terminated_though_the_environment_adds_everyone(run, cloud, monkeypatch):
    named = start_box(cloud.ec2("us-west-2"))["InstanceId"]
    monkeypatch.setenv("AWS_BOOTSTRAP_TERMINATE_EVERYONE", "1")
    assert run("terminate", named, "--yes").exit_code == 0
