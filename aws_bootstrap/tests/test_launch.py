"""`launch` as users run it, and every way it can end.

Exit code, exactly one document on stdout, and what was (not) done in the account.

The program runs as a process of its own against the sandbox; faults are EC2's own error answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.errors import SshError
from aws_bootstrap.paths import Paths
from aws_bootstrap.ssh import DEFAULT_TIMEOUTS, Ssh
from aws_bootstrap.tests.programs import alive, billing, started, writes

DRY_SPOT = {"action": "RunInstances", "match": {"InstanceMarketOptions.MarketType": "spot"}}
NO_ROOM = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}


def runs(program) -> list[str]:
    """The market of each RunInstances, in order."""
    calls = program.sandbox.log("RunInstances")
    return [c["parameters"].get("InstanceMarketOptions.MarketType", "on-demand") for c in calls]


def test_a_dry_run_writes_nothing_anywhere(program):
    code, plan = program.json("launch", "--dry-run")
    assert code == 0
    assert plan["dry_run"] is True
    assert plan["security_group"] is None
    assert plan["steps"][0].startswith("Generate the SSH key")
    assert program.sandbox.log()
    assert writes(program) == []
    assert not list(program.sandbox.home.root.glob("id_*"))
    assert not (program.sandbox.home.root / "ssh_config").exists()


# --- capacity and quota ----------------------------------------------------------------------------------


def test_spot_without_room_falls_back_to_on_demand(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    code, box = program.json("launch", "--no-setup")
    assert code == 0
    assert box["pricing"] == "on-demand"
    assert runs(program) == ["spot", "on-demand"]
    tokens = [c["parameters"]["ClientToken"] for c in program.sandbox.log("RunInstances")]
    assert len(set(tokens)) == 2, "one token an attempt"


def test_no_room_anywhere_gives_every_reason(program):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    code, failed = program.json("launch")
    assert code == 1
    assert failed["error"]["code"] == "no-capacity"
    assert failed["instance_id"] is None
    assert [r["market"] for r in failed["error"]["regions"]] == ["spot", "on-demand"]
    assert all(not r["billing"] for r in failed["error"]["resources"])
    assert runs(program) == ["spot", "on-demand"], "EC2 says it with HTTP 500: no silent retries"


def test_text_without_a_terminal_declines_and_names_the_option(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    failed = program("launch")
    assert failed.exit_code == 1
    assert "--on-demand" in failed.err
    assert failed.out.strip() == ""
    assert runs(program) == ["spot"]


@pytest.mark.parametrize(
    ("market", "code", "option"),
    [("spot", "MaxSpotInstanceCountExceeded", "--spot"), ("on-demand", "VcpuLimitExceeded", "--on-demand")],
)
def test_a_quota_leads_to_the_printed_commands(program, market, code, option):
    program.sandbox.fault(action="RunInstances", do={"error": code, "message": "limit exceeded"})
    exit_code, failed = program.json("launch", option)
    assert exit_code == 1
    assert failed["error"]["code"] == "quota"
    request = f"quota request --family gvt --region us-west-2 --type {market} --desired-value 72"
    assert request in failed["error"]["hint"], "64 vCPUs are the quota, 4 the need, and what is there may be in use"
    assert runs(program) == [market], "a quota ends it at once"
    printed = failed["error"]["hint"].split("Request an increase:")[1].split()[1:]
    assert program.json(*printed, "--yes")[0] == 0


def test_a_quota_that_cannot_be_read_still_leads_to_the_commands(program):
    program.sandbox.fault(action="RunInstances", do={"error": "VcpuLimitExceeded", "message": "limit exceeded"})
    program.sandbox.fault(action="GetServiceQuota", do={"error": "AccessDeniedException"})
    exit_code, failed = program.json("launch", "--on-demand")
    assert exit_code == 1
    assert failed["error"]["code"] == "quota"
    assert "--type on-demand --desired-value 8" in failed["error"]["hint"]


def test_the_next_region_is_tried_and_the_quota_of_the_first_reported(program):
    program.sandbox.fault(action="RunInstances", region="us-west-2", do={"error": "MaxSpotInstanceCountExceeded"})
    program.sandbox.fault(action="RunInstances", region="us-east-1", do=NO_ROOM)
    code, box = program.json("launch", "--no-setup", "-r", "us-west-2", "-r", "us-east-1", "-r", "eu-west-1")
    assert code == 0
    assert box["region"] == "eu-west-1"
    assert box["regions_tried"] == ["us-west-2", "us-east-1", "eu-west-1"]
    assert program.json("terminate", "aws-gpu1", "--yes")[0] == 0, "the alias knows its region"


def test_capacity_that_comes_back_is_waited_for(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM, times=2)
    code, box = program.json("launch", "--no-setup", "--wait", "--wait-timeout", "5m")
    assert code == 0
    assert box["pricing"] == "spot"
    assert runs(program) == ["spot"] * 3


def test_waiting_is_reported_where_stderr_is_no_terminal(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    failed = program("launch", "--wait", "--wait-timeout", "1s")
    assert failed.exit_code == 1, "once a minute, the first one at once"
    assert failed.err.count("Sweep 1") == 1, "once a minute, the first one at once"


def test_ctrl_c_while_waiting_ends_it_with_nothing_running(program, wait_for):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    process = started(program, "launch", "--wait")
    wait_for(lambda: runs(program))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert billing(json.loads(out)) == [] == alive(program)


def test_waiting_never_buys_on_demand(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    code, failed = program.json("launch", "--wait", "--wait-timeout", "1s", "--yes")
    assert code == 1
    assert failed["error"]["code"] == "no-capacity"
    assert set(runs(program)) == {"spot"}


def test_a_price_above_the_highest_is_not_paid_in_any_market(program):
    code, failed = program.json("launch", "--max-price", "0.01")
    assert code == 1
    assert failed["error"]["code"] == "no-capacity"
    assert runs(program) == []
    assert "--max-price 0.01" in failed["error"]["regions"][0]["reason"]


def test_a_price_below_the_highest_is_ec2s_to_hold(program):
    code, _ = program.json("launch", "--no-setup", "--max-price", "0.9")
    assert code == 0
    sent = program.sandbox.log("RunInstances")[0]["parameters"]
    assert sent["InstanceMarketOptions.SpotOptions.MaxPrice"] == "0.9"


# --- lost calls ------------------------------------------------------------------------------------------


def test_lost_answers_do_not_make_two(program):
    """The SDK sends again what it got no answer to: by its token nothing is made twice, and an attached volume is."""
    for action in ("RunInstances", "CreateVolume", "AttachVolume", "ImportKeyPair", "CreateSecurityGroup"):
        program.sandbox.fault(action=action, do={"reset_after": True}, times=1)
    code, box = program.json("launch", "--no-setup", "--ebs-storage", "1")
    assert code == 0
    assert len(runs(program)) == 2
    assert box["ebs_volume"]["mounted"] is True
    assert len({c["parameters"]["ClientToken"] for c in program.sandbox.log("RunInstances")}) == 1
    (seen,) = program.json("status")[1]["instances"]
    assert seen["instance_id"] == box["instance_id"]
    assert [v["volume_id"] for v in seen["ebs_volumes"]] == [box["ebs_volume"]["volume_id"]]


def test_an_answer_that_never_comes_is_looked_up_by_its_token_and_the_launch_goes_on(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True})
    code, box = program.json("launch", "--no-setup")
    assert code == 0
    assert [box["instance_id"]] == alive(program)


# --- the box ---------------------------------------------------------------------------------------------


def test_a_setup_that_fails_leaves_a_usable_box_and_exit_code_3(program, tmp_path):
    script = tmp_path / "fails.sh"
    script.write_text("#!/bin/sh\necho this is why\nexit 7\n")
    outcome = program("launch", "--setup-script", str(script), "-o", "json")
    assert outcome.exit_code == 3
    box = outcome.document
    assert box["setup"] == "failed"
    assert box["setup_failed_step"] == "setup-script"
    assert "this is why" in box["setup_failed_output"]
    assert box["error"]["code"] == "setup-failed"
    assert box["error"]["resources"][0]["id"] == box["instance_id"]
    assert program.ssh("aws-gpu1", "echo usable").stdout == "usable\n"


def test_an_instance_that_an_interrupt_overtook_is_found(program, wait_for):
    """The signal comes while RunInstances is on its way: EC2 starts the instance all the same."""
    program.sandbox.fault(action="RunInstances", do={"delay": 3})
    process = started(program, "launch", "--no-setup")
    wait_for(lambda: runs(program))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # more of them must not disturb the telling
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert billing(json.loads(out)) == alive(program) != []


def test_an_unknown_outcome_is_not_reported_as_nothing(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True})
    program.sandbox.fault(action="DescribeInstances", do={"error": "UnauthorizedOperation"})
    code, failed = program.json("launch", "--no-setup")
    assert code == 3
    assert "may have created" in failed["error"]["hint"]
    assert "status --region" in failed["error"]["hint"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"])
def test_an_interrupted_launch_lists_what_exists(program, number, code, wait_for):
    program.sandbox.timing(pending=30)
    process = started(program, "launch")
    try:
        wait_for(lambda: runs(program))
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        program.sandbox.timing(pending=0.2)
    assert process.returncode == code
    failed = json.loads(out)
    assert failed["error"]["code"] == "interrupted"
    assert billing(failed) == alive(program) != []


# --- readers that go away --------------------------------------------------------------------------------


def test_progress_that_nobody_reads_does_not_end_a_launch(program):
    command = f"{sys.executable} -m aws_bootstrap launch --no-setup"
    read = f"{command} 2> >(head -n 1 >/dev/null); echo $?"
    done = subprocess.run(["bash", "-c", read], env=program.sandbox.env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert "aws-gpu1 is ready" in done.stdout


def test_no_color_is_respected_on_a_terminal(program):
    script = f"{sys.executable} -m aws_bootstrap status --region us-west-2"
    coloured = ["script", "-qec", script, "/dev/null"]
    for env, expected in ({}, True), ({"NO_COLOR": "1"}, False):
        program.json("launch", "--no-setup")
        done = subprocess.run(coloured, env={**program.sandbox.env, **env}, capture_output=True, text=True)
        assert ("\x1b[" in done.stdout) is expected


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--instance-type", "g9z.large"],
        ["--instance-type", "big"],
        ["--instance-type", "g4dn.xlarge", "--instance-type", "g4dn.xlrge"],
        ["--max-price", "nan"],
        ["--max-price", "0.0009"],
        ["--wait-timeout", "9" * 400],
        ["--key-path", "x" * 300 + ".pub"],
        ["--region", "us_west_2"],
        ["--region", "xx-nowhere-9"],
        ["--ssh-port", "0"],
        ["--ssh-port", "70000"],
        ["--python-version", "3.13; rm -rf /"],
        ["--ssh-cidr", "everyone"],
        ["--tag", "novalue"],
        ["--tag", "created-by=me"],
        ["--volume-size", "1"],
        ["--ami-filter", "no such image*"],
        ["--setup-script", "missing.sh"],
        ["--subnet-id", "subnet-00000000000000000"],
        ["--wait-timeout", "soon"],
        ["--max-price", "0"],
        ["--nonsense"],
        ["unexpected"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence_and_creates_nothing(program, words):
    outcome = program("launch", *words, "-o", "json")
    assert outcome.exit_code in (1, 2)
    assert outcome.document["error"]["message"]
    assert len(outcome.document["error"]["message"].splitlines()) == 1
    assert "Traceback" not in outcome.err
    assert writes(program) == []


def test_a_private_key_as_key_path_is_refused(program, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    code, failed = program.json("launch", "--key-path", str(tmp_path / "id"))
    assert code == 2
    assert "private key" in failed["error"]["message"]
    assert writes(program) == []
    (tmp_path / "text.pub").write_text("not a key")
    code, failed = program.json("launch", "--key-path", str(tmp_path / "text.pub"))
    assert code == 2
    assert "not an OpenSSH public key" in failed["error"]["message"]
    assert writes(program) == []


def test_a_read_only_home_is_reported_before_anything_is_made(program, tmp_path):
    home = tmp_path / "read-only"
    home.mkdir()
    env = {**program.sandbox.env, "HOME": str(home)}
    for name in ("AWS_BOOTSTRAP_SSH_CONFIG", "AWS_BOOTSTRAP_HOME", "AWS_BOOTSTRAP_LAUNCH_KEY_PATH"):
        env.pop(name)
    argv = [sys.executable, "-m", "aws_bootstrap", "launch"]
    if os.geteuid() == 0:  # root may write to any folder but one that is mounted read-only
        read_only = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        argv = ["unshare", "--mount", "sh", "-c", read_only, str(home), *argv]
    else:
        home.chmod(0o500)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "not writable" in done.stderr
    assert str(home) in done.stderr
    assert writes(program) == []


def test_a_confirmation_without_a_terminal_is_a_usage_error(program):
    program.json("launch", "--no-setup")
    before = len(writes(program))
    for words in (["terminate", "aws-gpu1"], ["terminate", "aws-gpu1", "-o", "yaml"]):
        outcome = program(*words)
        assert outcome.exit_code == 2
        assert "--yes" in outcome.err
    assert len(writes(program)) == before


def test_a_region_that_refuses_does_not_end_the_search(program):
    program.sandbox.fault(action="RunInstances", region="us-west-2", do={"error": "UnauthorizedOperation"})
    code, box = program.json("launch", "--no-setup", "-r", "us-west-2", "-r", "eu-west-1")
    assert code == 0
    assert box["region"] == "eu-west-1"


class ShutBox(Ssh):
    """A box whose port never opens."""

    def run(self, alias, command, *, timeouts=DEFAULT_TIMEOUTS, **_):
        raise SshError(f"{alias} did not answer within {timeouts.unanswered:.0f} s.", code="ssh-timeout")


def test_a_launch_whose_port_stays_shut_says_what_exists(program, monkeypatch):
    for name, value in program.sandbox.env.items():
        monkeypatch.setenv(name, value)
    app = App(paths=Paths(os.environ))
    app.ssh = ShutBox(app.paths)
    done = CliRunner().invoke(main, ["launch", "--ssh-cidr", "203.0.113.7", "-o", "json"], obj=app)
    failed = json.loads(done.stdout)
    assert (done.exit_code, failed["error"]["code"]) == (3, "ssh-timeout")
    assert sorted(r["type"] for r in failed["error"]["resources"]) == ["instance", "key-pair", "security-group"]
    assert failed["ssh_alias"] == "aws-gpu1"
    assert failed["setup"] is None
    hint = failed["error"]["hint"]
    assert "setup aws-gpu1" in hint
    assert f"terminate {failed['instance_id']} --region us-west-2" in hint
    assert "does not allow SSH from your address 127.0.0.1" in hint
