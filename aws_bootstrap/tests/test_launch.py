"""Every way a command can end: exit code, exactly one document on stdout, and what was (not) done in the account.

The program runs as a process of its own against the sandbox; faults are EC2's own error answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from aws_bootstrap.tests.cloud import make_volume

DRY_SPOT = {"action": "RunInstances", "match": {"InstanceMarketOptions.MarketType": "spot"}}
NO_ROOM = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}
READS = ("Describe", "Get", "List")


def runs(program) -> list[str]:
    """The market of each RunInstances, in order."""
    calls = program.sandbox.log("RunInstances")
    return [c["parameters"].get("InstanceMarketOptions.MarketType", "on-demand") for c in calls]


def writes(program) -> list[str]:
    return [c["action"] for c in program.sandbox.log() if not c["action"].startswith(READS)]


# --- nothing to do, nothing done -------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_anywhere(program):
    code, plan = program.json("launch", "--dry-run")
    assert code == 0 and plan["dry_run"] is True and plan["security_group"] is None
    assert plan["steps"][0].startswith("Generate the SSH key")
    assert program.sandbox.log() and writes(program) == []
    assert not list(program.sandbox.home.root.glob("id_*")) and not (program.sandbox.home.root / "ssh_config").exists()


def test_nothing_found_is_success(program):
    code, status = program.json("status")
    assert code == 0 and status["instances"] == [] and status["orphan_volumes"] == []
    code, ended = program.json("terminate", "--yes")
    assert code == 0 and ended["terminated"] == [] and writes(program) == []


# --- capacity and quota ----------------------------------------------------------------------------------


def test_spot_without_room_falls_back_to_on_demand(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    code, box = program.json("launch", "--no-setup")
    assert code == 0 and box["pricing"] == "on-demand"
    assert runs(program) == ["spot", "on-demand"]
    tokens = [c["parameters"]["ClientToken"] for c in program.sandbox.log("RunInstances")]
    assert len(set(tokens)) == 2, "one token an attempt"


def test_no_room_anywhere_gives_every_reason(program):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    code, failed = program.json("launch")
    assert code == 1 and failed["error"]["code"] == "no-capacity" and failed["instance_id"] is None
    assert [r["market"] for r in failed["error"]["regions"]] == ["spot", "on-demand"]
    assert all(not r["billing"] for r in failed["error"]["resources"])
    assert runs(program) == ["spot", "on-demand"], "EC2 says it with HTTP 500: no silent retries"


def test_text_without_a_terminal_declines_and_names_the_option(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    failed = program("launch")
    assert failed.exit_code == 1 and "--on-demand" in failed.err and failed.out.strip() == ""
    assert runs(program) == ["spot"]


@pytest.mark.parametrize(
    ("market", "code", "option"),
    [("spot", "MaxSpotInstanceCountExceeded", "--spot"), ("on-demand", "VcpuLimitExceeded", "--on-demand")],
)
def test_a_quota_leads_to_the_printed_commands(program, market, code, option):
    program.sandbox.fault(action="RunInstances", do={"error": code, "message": "limit exceeded"})
    exit_code, failed = program.json("launch", option)
    assert exit_code == 1 and failed["error"]["code"] == "quota"
    request = f"quota request --family gvt --region us-west-2 --type {market} --desired-value 72"
    assert request in failed["error"]["hint"], "64 vCPUs are the quota, 4 the need, and what is there may be in use"
    assert runs(program) == [market], "a quota ends it at once"
    printed = failed["error"]["hint"].split("Request an increase:")[1].split()[1:]
    assert program.json(*printed, "--yes")[0] == 0


def test_a_quota_that_cannot_be_read_still_leads_to_the_commands(program):
    program.sandbox.fault(action="RunInstances", do={"error": "VcpuLimitExceeded", "message": "limit exceeded"})
    program.sandbox.fault(action="GetServiceQuota", do={"error": "AccessDeniedException"})
    exit_code, failed = program.json("launch", "--on-demand")
    assert exit_code == 1 and failed["error"]["code"] == "quota"
    assert "--type on-demand --desired-value 8" in failed["error"]["hint"]


def test_the_next_region_is_tried_and_the_quota_of_the_first_told(program):
    program.sandbox.fault(action="RunInstances", region="us-west-2", do={"error": "MaxSpotInstanceCountExceeded"})
    program.sandbox.fault(action="RunInstances", region="us-east-1", do=NO_ROOM)
    code, box = program.json("launch", "--no-setup", "-r", "us-west-2", "-r", "us-east-1", "-r", "eu-west-1")
    assert code == 0 and box["region"] == "eu-west-1"
    assert box["regions_tried"] == ["us-west-2", "us-east-1", "eu-west-1"]
    assert program.json("terminate", "aws-gpu1", "--yes")[0] == 0, "the alias knows its region"


def test_capacity_that_comes_back_is_waited_for(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM, times=2)
    code, box = program.json("launch", "--no-setup", "--wait", "--wait-timeout", "5m")
    assert code == 0 and box["pricing"] == "spot" and runs(program) == ["spot"] * 3


def test_waiting_is_told_where_stderr_is_no_terminal(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    failed = program("launch", "--wait", "--wait-timeout", "1s")
    assert failed.exit_code == 1 and failed.err.count("Sweep 1") == 1, "once a minute, the first one at once"


def test_ctrl_c_while_waiting_ends_it_with_nothing_running(program, wait_for):
    program.sandbox.fault(action="RunInstances", do=NO_ROOM)
    process = started(program, "launch", "--wait")
    wait_for(lambda: runs(program))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 130 and json.loads(out)["error"]["code"] == "interrupted"
    assert billing(json.loads(out)) == [] == alive(program)


def test_waiting_never_buys_on_demand(program):
    program.sandbox.fault(**DRY_SPOT, do=NO_ROOM)
    code, failed = program.json("launch", "--wait", "--wait-timeout", "1s", "--yes")
    assert code == 1 and failed["error"]["code"] == "no-capacity" and set(runs(program)) == {"spot"}


def test_a_price_above_the_highest_is_not_paid_in_any_market(program):
    code, failed = program.json("launch", "--max-price", "0.01")
    assert code == 1 and failed["error"]["code"] == "no-capacity" and runs(program) == []
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
    assert code == 0 and len(runs(program)) == 2 and box["ebs_volume"]["mounted"] is True
    assert len({c["parameters"]["ClientToken"] for c in program.sandbox.log("RunInstances")}) == 1
    (seen,) = program.json("status")[1]["instances"]
    assert seen["instance_id"] == box["instance_id"]
    assert [v["volume_id"] for v in seen["ebs_volumes"]] == [box["ebs_volume"]["volume_id"]]


def test_an_answer_that_never_comes_is_looked_up_by_its_token_and_the_launch_goes_on(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True})
    code, box = program.json("launch", "--no-setup")
    assert code == 0 and [box["instance_id"]] == alive(program)


# --- credentials -----------------------------------------------------------------------------------------

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@pytest.mark.parametrize("command", [["launch"], ["status"], ["terminate", "--yes"]], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("env", "code"),
    [
        (NO_KEYS, "no-credentials"),
        ({**NO_KEYS, "AWS_ACCESS_KEY_ID": "AKIA"}, "partial-credentials"),
        ({"AWS_PROFILE": "nobody"}, "no-profile"),
    ],
    ids=["none", "half", "profile"],
)
def test_credentials_that_do_not_do(program, command, env, code):
    exit_code, failed = program.json(*command, env=env)
    assert exit_code == 1 and failed["error"]["code"] == code and "aws configure" in failed["error"]["hint"]


@pytest.mark.parametrize("command", [["launch"], ["status"], ["terminate", "--yes"]], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("aws", "code"),
    [
        ("ExpiredToken", "expired-credentials"),
        ("UnauthorizedOperation", "access-denied"),
        ("AuthFailure", "invalid-credentials"),
    ],
)
def test_credentials_that_aws_refuses(program, command, aws, code):
    program.sandbox.fault(action="Describe.*", do={"error": aws})
    exit_code, failed = program.json(*command)
    assert exit_code == 1 and failed["error"]["code"] == code and failed["error"]["hint"]


# --- partial views ---------------------------------------------------------------------------------------


def test_a_region_that_cannot_be_read_is_unknown_not_empty(program):
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "UnauthorizedOperation"})
    code, status = program.json("status")
    assert code == 3 and [f["region"] for f in status["regions_failed"]] == ["eu-west-1"]
    assert status["error"]["code"] == "region-failed" and "eu-west-1" in status["error"]["message"]


def test_an_id_is_not_declared_missing_on_a_partial_view(program):
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "UnauthorizedOperation"})
    code, failed = program.json("terminate", "i-0123456789abcdef0", "--yes")
    assert code == 1 and failed["error"]["code"] == "region-failed" and writes(program) == []


# --- the box ---------------------------------------------------------------------------------------------


def test_a_setup_that_fails_leaves_a_usable_box_and_exit_code_3(program, tmp_path):
    script = tmp_path / "fails.sh"
    script.write_text("#!/bin/sh\necho this is why\nexit 7\n")
    outcome = program("launch", "--setup-script", str(script), "-o", "json")
    assert outcome.exit_code == 3
    box = outcome.document
    assert box["setup"] == "failed" and box["setup_failed_step"] == "setup-script"
    assert "this is why" in box["setup_failed_output"]
    assert box["error"]["code"] == "setup-failed" and box["error"]["resources"][0]["id"] == box["instance_id"]
    assert program.ssh("aws-gpu1", "echo usable").stdout == "usable\n"


def started(program, *words) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "aws_bootstrap", *words, "-o", "json"]
    return subprocess.Popen(argv, env=program.sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def billing(failed) -> list[str]:
    return [r["id"] for r in failed["error"]["resources"] if r["billing"]]


def alive(program) -> list[str]:
    return [i["instance_id"] for i in program.json("status", "-r", "us-west-2")[1]["instances"]]


def test_an_instance_that_an_interrupt_overtook_is_found(program, wait_for):
    """The signal comes while RunInstances is on its way: EC2 starts the instance all the same."""
    program.sandbox.fault(action="RunInstances", do={"delay": 3})
    process = started(program, "launch", "--no-setup")
    wait_for(lambda: runs(program))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # more of them must not disturb the telling
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130 and "Traceback" not in err
    assert billing(json.loads(out)) == alive(program) != []


def test_an_unknown_outcome_is_not_told_as_nothing(program):
    program.sandbox.fault(action="RunInstances", do={"reset_after": True})
    program.sandbox.fault(action="DescribeInstances", do={"error": "UnauthorizedOperation"})
    code, failed = program.json("launch", "--no-setup")
    assert code == 3 and "may have created" in failed["error"]["hint"] and "status --region" in failed["error"]["hint"]


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
    assert done.stdout.splitlines()[-1] == "0" and "aws-gpu1 is ready" in done.stdout


def test_no_color_is_respected_on_a_terminal(program):
    script = f"{sys.executable} -m aws_bootstrap status --region us-west-2"
    coloured = ["script", "-qec", script, "/dev/null"]
    for env, expected in ({}, True), ({"NO_COLOR": "1"}, False):
        program.json("launch", "--no-setup")
        done = subprocess.run(coloured, env={**program.sandbox.env, **env}, capture_output=True, text=True)
        assert ("\x1b[" in done.stdout) is expected


# --- terminate -------------------------------------------------------------------------------------------


def data_volume(program, instance_id: str) -> str:
    return make_volume(program.sandbox.client(), instance_id, size=1)


def test_one_volume_that_stays_does_not_save_the_other_and_is_told(program):
    box = program.json("launch", "--no-setup")[1]["instance_id"]
    first, second = data_volume(program, box), data_volume(program, box)
    program.sandbox.fault(action="DeleteVolume", match={"VolumeId": first}, do={"error": "UnauthorizedOperation"})
    code, failed = program.json("terminate", box, "--yes")
    assert code == 3 and failed["terminated"][0]["ebs_volumes_deleted"] == [second]
    assert billing(failed) == [first] and "cleanup --include-ebs" in failed["error"]["hint"]


def test_a_volume_that_another_box_uses_is_kept(program, wait_for):
    box, other = (program.json("launch", "--no-setup")[1] for _ in range(2))
    client = program.sandbox.client()
    volume = data_volume(program, box["instance_id"])
    zone = client.describe_instances(InstanceIds=[other["instance_id"]])["Reservations"][0]["Instances"][0]["Placement"]
    if zone["AvailabilityZone"] != "us-west-2a":
        client.delete_volume(VolumeId=volume)
        tags = [
            {"Key": "created-by", "Value": "aws-bootstrap-g4dn"},
            {"Key": "aws-bootstrap-instance", "Value": box["instance_id"]},
        ]
        made = client.create_volume(
            AvailabilityZone=zone["AvailabilityZone"],
            Size=1,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
        )
        volume = made["VolumeId"]
    wait_for(lambda: client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    client.attach_volume(VolumeId=volume, InstanceId=other["instance_id"], Device="/dev/sdf")
    code, ended = program.json("terminate", box["instance_id"], "--yes")
    assert code == 0 and ended["terminated"][0]["ebs_volumes_kept"] == [volume]
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "in-use"


def test_regions_that_were_ended_are_told_when_another_fails(program):
    boxes = [program.json("launch", "--no-setup", "-r", r)[1]["instance_id"] for r in ("us-west-2", "eu-west-1")]
    program.sandbox.fault(action="TerminateInstances", region="eu-west-1", do={"error": "OperationNotPermitted"})
    code, failed = program.json("terminate", *boxes, "--yes")
    assert code == 3 and [t["instance_id"] for t in failed["terminated"]] == [boxes[0]]
    assert failed["terminated"][0]["ssh_alias_removed"] == "aws-gpu1" and failed["error"]["code"] == "protected"


def test_a_terminate_that_is_stopped_while_ec2_ends_the_box_tells_what_still_bills(program, wait_for):
    box = program.json("launch", "--no-setup", "--ebs-storage", "1")[1]
    volume = box["ebs_volume"]["volume_id"]
    program.sandbox.fault(action="TerminateInstances", do={"delay": 1.5})
    process = started(program, "terminate", "--yes")
    wait_for(lambda: program.sandbox.log("TerminateInstances"))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=40)
    failed = json.loads(out)
    assert process.returncode == 143 and "Traceback" not in err
    assert [(t["instance_id"], t["ssh_alias_removed"]) for t in failed["terminated"]] == [
        (box["instance_id"], "aws-gpu1")
    ]
    assert billing(failed) == [volume] and "cleanup --include-ebs" in failed["error"]["hint"]
    wait_for(lambda: not alive(program))
    code, cleaned = program.json("cleanup", "--include-ebs", "--yes")
    assert code == 0 and [v["volume_id"] for v in cleaned["deleted_volumes"]] == [volume]


def test_nothing_to_terminate_names_the_region(program):
    assert "in eu-west-1" in program("terminate", "--region", "eu-west-1", "--yes").out


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--instance-type", "g9z.large"],
        ["--instance-type", "big"],
        ["--instance-type", "g4dn.xlarge", "--instance-type", "g4dn.xlrge"],
        ["--max-price", "nan"],
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
    assert outcome.exit_code in (1, 2) and outcome.document["error"]["message"]
    assert len(outcome.document["error"]["message"].splitlines()) == 1
    assert "Traceback" not in outcome.err and writes(program) == []


def test_a_private_key_as_key_path_is_refused(program, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    code, failed = program.json("launch", "--key-path", str(tmp_path / "id"))
    assert code == 2 and "private key" in failed["error"]["message"] and writes(program) == []
    (tmp_path / "text.pub").write_text("not a key")
    code, failed = program.json("launch", "--key-path", str(tmp_path / "text.pub"))
    assert code == 2 and "not an OpenSSH public key" in failed["error"]["message"] and writes(program) == []


def test_a_read_only_home_is_told_before_anything_is_made(program, tmp_path):
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
    assert done.returncode == 1 and "not writable" in done.stderr and str(home) in done.stderr
    assert writes(program) == []


def test_a_confirmation_without_a_terminal_is_a_usage_error(program):
    program.json("launch", "--no-setup")
    before = len(writes(program))
    for words in (["terminate", "aws-gpu1"], ["terminate", "aws-gpu1", "-o", "yaml"]):
        outcome = program(*words)
        assert outcome.exit_code == 2 and "--yes" in outcome.err
    assert len(writes(program)) == before


def test_another_peoples_instance_is_never_terminated(program):
    client = program.sandbox.client()
    image = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    theirs = client.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="g4dn.xlarge")
    instance_id = theirs["Instances"][0]["InstanceId"]
    code, failed = program.json("terminate", instance_id, "--yes")
    assert code == 1 and failed["error"]["code"] == "not-found"
    code, ended = program.json("terminate", "--yes")
    assert code == 0 and ended["terminated"] == []
    assert not program.sandbox.log("TerminateInstances")


@pytest.mark.parametrize("words", [["-o", "json", "status"], ["status", "-o", "json"], ["status", "--output=json"]])
def test_the_format_may_stand_before_or_after_the_command(program, words):
    assert program(*words).document["instances"] == []


def test_a_format_that_does_not_exist_is_refused(program):
    outcome = program("status", env={"AWS_BOOTSTRAP_OUTPUT": "xml"})
    assert outcome.exit_code == 2 and "xml" in outcome.err and outcome.out == ""


def test_without_a_command_help_is_shown(program):
    outcome = program()
    assert outcome.exit_code == 2 and outcome.err.startswith("Usage:") and "launch" in outcome.err


def test_every_regions_reason_is_told_when_all_fail(program):
    program.sandbox.fault(action="DescribeInstances", region="us-west-2", do={"error": "UnauthorizedOperation"})
    program.sandbox.fault(action="DescribeInstances", region="eu-west-1", do={"error": "AuthFailure"})
    code, failed = program.json("status", "-r", "us-west-2", "-r", "eu-west-1")
    assert code == 1 and [f["region"] for f in failed["regions_failed"]] == ["us-west-2", "eu-west-1"]
    assert len({r["reason"] for r in failed["error"]["regions"]}) == 2


def test_a_box_is_shown_without_a_price_that_cannot_be_known(program):
    program.json("launch", "--no-setup")
    program.sandbox.fault(action="DescribeSpotPriceHistory", do={"error": "UnauthorizedOperation"})
    code, seen = program.json("status", "-r", "us-west-2")
    assert code == 0 and len(seen["instances"]) == 1 and "spot_price_per_hour" not in seen["instances"][0]


def test_a_region_that_refuses_does_not_end_the_search(program):
    program.sandbox.fault(action="RunInstances", region="us-west-2", do={"error": "UnauthorizedOperation"})
    code, box = program.json("launch", "--no-setup", "-r", "us-west-2", "-r", "eu-west-1")
    assert code == 0 and box["region"] == "eu-west-1"


def test_the_format_may_come_from_the_environment(program):
    assert program("status", env={"AWS_BOOTSTRAP_OUTPUT": "json"}).document["instances"] == []
