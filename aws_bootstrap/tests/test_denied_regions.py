"""Regions that a policy of the account's organization denies: said once, and no failure unless they are named."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box

EAST, WEST, IRELAND = "us-east-1", "us-west-2", "eu-west-1"


@pytest.fixture
def company(cloud):
    """An account in which only us-west-2 may be used."""
    cloud.organization_denies = {EAST, IRELAND}
    return cloud


def result(done):
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    "words", [("status",), ("costs",), ("access",), ("cleanup", "--dry-run"), ("cleanup", "--yes")]
)
def test_they_are_listed_and_said_once_and_no_failure(run, company, my_address, words):
    start_box(company.ec2(WEST))
    code, shown = result(run(*words, "-o", "json"))
    assert code == 0
    assert shown["regions_failed"] == []
    assert {denied["region"] for denied in shown["regions_denied"]} == {EAST, IRELAND}
    assert not any("Encoded" in denied["error"] for denied in shown["regions_denied"])
    assert [one["code"] for one in shown["warnings"]] == ["region-denied"]
    text = run(*words)
    assert text.exit_code == 0
    assert text.output.count(IRELAND) == 1


def test_a_cleanup_deletes_an_orphan(run, company):
    make_volume(company.ec2(WEST), "i-0gone")
    code, shown = result(run("cleanup", "--include-ebs", "--yes", "-o", "json"))
    assert code == 0
    assert len(shown["deleted_volumes"]) == 1
    assert ec2.find_volumes(company.ec2(WEST)) == []


@pytest.mark.parametrize("words", [("status",), ("costs",), ("cleanup", "--yes"), ("access",)])
def test_one_that_is_named_is_a_failure(run, company, my_address, words):
    code, shown = result(run(*words, "-r", WEST, "-r", EAST, "-o", "json"))
    assert code == 3
    assert [failed["region"] for failed in shown["regions_failed"]] == [EAST]
    assert shown["regions_denied"] == []


@pytest.mark.parametrize("words", [("status",), ("list", "instance-types")])
def test_where_all_are_denied_the_reason_is_said_once(run, company, words):
    done = run(*words, "-r", EAST, "-r", IRELAND)
    assert done.exit_code == 1
    assert done.stderr.count("explicit deny in a service control policy") == 1
    assert f"  {EAST}, {IRELAND}\n" in done.stderr
    assert "Encoded authorization" not in done.output
    _, failed = result(run(*words, "-r", EAST, "-r", IRELAND, "-o", "json"))
    assert [one["region"] for one in failed["error"]["regions"]] == [EAST, IRELAND]
    assert all(one["reason"] == failed["error"]["message"] for one in failed["error"]["regions"])


def test_the_code_for_administrators_is_shown_to_them_alone(run, company):
    done = run("status", "-r", EAST)
    assert done.exit_code == 1
    assert "explicit deny in a service control policy.\n" in done.stderr
    assert "Encoded authorization failure message" in run("--debug", "status", "-r", EAST).stderr


def test_an_alias_that_may_belong_there_stays_and_is_a_partial_view(run, app, company):
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id="i-0east", alias="", region=EAST))
    code, shown = result(run("cleanup", "--yes", "-o", "json"))
    assert code == 3
    assert [alias["instance_id"] for alias in shown["skipped"]] == ["i-0east"]
    assert shown["error"]["code"] == "region-failed"


def test_an_id_that_is_nowhere_else_is_not_found(run, company):
    code, shown = result(run("terminate", "i-0123456789abcdef0", "--yes", "-o", "json"))
    assert (code, shown["error"]["code"]) == (1, "not-found")


def test_a_box_whose_alias_names_a_denied_region_may_exist(run, app, company, box):
    company.organization_denies = set()
    there, here = box(EAST), box(WEST)
    company.organization_denies = {EAST}
    code, shown = result(run("terminate", there, here, "--yes", "-o", "json"))
    assert code == 1
    assert shown["error"]["code"] == "region-failed"
