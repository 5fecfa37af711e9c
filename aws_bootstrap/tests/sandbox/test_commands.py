"""`aws-bootstrap sandbox …` as a subprocess: results on stdout in every format, nothing of the user's touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .conftest import launch, wait_state


@pytest.fixture
def run(cloud):
    def run(*words: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
        env = dict(os.environ, AWS_BOOTSTRAP_SANDBOX_HOME=str(cloud.home.root), **variables)
        command = [sys.executable, "-m", "aws_bootstrap", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


def document(done: subprocess.CompletedProcess):
    return json.loads(done.stdout)


def test_status_tells_what_runs(run, cloud, ec2):
    made = launch(ec2)["InstanceId"]
    shown = document(run("sandbox", "status", "-o", "json"))
    assert shown["running"] is True
    assert shown["endpoint"] == f"http://127.0.0.1:{cloud.port}"
    assert [one["instance_id"] for one in shown["instances"]] == [made]
    assert made in run("sandbox", "status").stdout


def test_env_can_be_evaluated_by_a_shell(run, cloud):
    lines = run("sandbox", "env").stdout
    done = subprocess.run(
        ["sh", "-c", f"{lines}\nenv"], capture_output=True, text=True, env={"AWS_PROFILE": "mine"}, check=True
    )
    assert f"AWS_ENDPOINT_URL=http://127.0.0.1:{cloud.port}" in done.stdout
    assert "AWS_PROFILE" not in done.stdout
    assert document(run("sandbox", "env", "-o", "json"))["environment"]["AWS_PROFILE"] is None


def test_faults_are_added_shown_and_cleared(run, cloud):
    words = ("--action", "RunInstances", "--match", "InstanceMarketOptions.MarketType=spot", "--times", "2")
    shown = document(run("sandbox", "fault", *words, "--error", "InsufficientInstanceCapacity", "-o", "json"))
    assert shown["faults"] == [
        {
            "match": {"action": "RunInstances", "InstanceMarketOptions.MarketType": "spot"},
            "do": {"error": "InsufficientInstanceCapacity"},
            "skip": 0,
            "times": 2,
            "hits": 0,
        }
    ]
    assert "RunInstances" in run("sandbox", "fault").stdout
    assert run("sandbox", "fault", "--clear").stdout.strip() == "No active faults."


def test_a_fault_that_does_nothing_is_wrong_usage(run):
    assert run("sandbox", "fault", "--action", "RunInstances", check=False).returncode == 2
    assert run("sandbox", "fault", "--match", "nonsense", "--reset", check=False).returncode == 2


def test_the_log_shows_calls(run, cloud, ec2):
    cloud.clear_log()
    ec2.describe_regions()
    assert "ec2:DescribeRegions" in run("sandbox", "log").stdout
    shown = document(run("sandbox", "log", "--action", "DescribeRegions", "-o", "json"))["calls"]
    assert [call["action"] for call in shown] == ["DescribeRegions"]


def test_interrupt_says_what_happens_when(run, cloud, ec2):
    made = launch(ec2, InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
    wait_state(ec2, made, "running")
    assert "rebalance recommendation" in run("sandbox", "interrupt", made, "--rebalance").stdout
    noticed = document(run("sandbox", "interrupt", made, "--notice", "0.5", "-o", "json"))
    assert (noticed["instance_id"], noticed["notice"], noticed["rebalance"]) == (made, 0.5, False)
    wait_state(ec2, made, "terminated")
    both = run("sandbox", "interrupt", made, "--notice", "1", "--rebalance", check=False)
    assert both.returncode == 2
    nobody = run("sandbox", "interrupt", "i-0123456789abcdef0", check=False)
    assert "no spot instance has this id" in nobody.stderr


def test_a_sandbox_that_does_not_run_says_so(run, tmp_path):
    elsewhere = {"AWS_BOOTSTRAP_SANDBOX_HOME": str(tmp_path / "none")}
    env = dict(os.environ, **elsewhere)

    def ask(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "aws_bootstrap", *words], capture_output=True, text=True, env=env)

    assert document(ask("sandbox", "status", "-o", "json"))["running"] is False
    assert document(ask("sandbox", "stop", "-o", "json"))["stopped"] is False
    failed = ask("sandbox", "log", "-o", "json")
    assert failed.returncode == 1
    assert document(failed)["error"]["code"] == "not-running"
    assert not (tmp_path / "none").exists()


def test_start_leaves_a_running_one_alone_and_refuses_to_change_it(run, cloud):
    assert document(run("sandbox", "start", "-o", "json"))["endpoint"].endswith(str(cloud.port))
    assert run("sandbox", "start", "--timing", "pending=9", check=False).returncode == 2
    assert run("sandbox", "start", "--timing", "nonsense=9", check=False).returncode == 2


def test_reset_erases_a_sandboxs_home_and_no_other_folder(tmp_path):
    mine = tmp_path / "precious"
    mine.mkdir()
    (mine / "file").write_text("keep me")
    env = dict(os.environ, AWS_BOOTSTRAP_SANDBOX_HOME=str(mine))
    command = [sys.executable, "-m", "aws_bootstrap", "sandbox", "reset", "--yes"]
    assert subprocess.run(command, env=env, check=False, capture_output=True).returncode == 2
    assert subprocess.run([*command[:-2], "start"], env=env, check=False, capture_output=True).returncode == 1
    assert [path.name for path in mine.iterdir()] == ["file"]
    assert (mine / "file").read_text() == "keep me"
