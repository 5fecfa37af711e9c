"""`setup` as users run it, and what it reports of a step that fails: a box, its real ssh, the real program."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml


@pytest.fixture
def box(program):
    """A box without a setup."""
    return program.json("launch", "--no-setup")[1]


@pytest.fixture
def bad_script(tmp_path):
    """A setup script that says why it ends."""
    script = tmp_path / "bad.sh"
    script.write_text("echo no such dataset\nexit 7\n")
    return str(script)


def test_a_failed_step_says_why_and_shows_its_last_lines_in_every_format(program, box, bad_script):
    words = ("setup", "aws-gpu1", "--setup-script", bad_script)
    code, failed = program.json(*words)
    assert code == 3
    assert failed["setup_failed_step"] == "setup-script"
    assert "status 7" in failed["setup_failed_reason"]
    assert "no such dataset" in failed["setup_failed_output"]
    assert "no such dataset" in yaml.safe_load(program(*words, "-o", "yaml").out)["setup_failed_output"]
    table = program(*words, "-o", "table").out
    assert "status 7" in table
    assert "no such dataset" in table
    code, again = program.json("setup", "aws-gpu1")
    assert code == 0, "a script runs only when it is named"
    assert again["setup"] == "completed", "a script runs only when it is named"


def test_setup_shows_the_region(program, box):
    done = program("setup", "aws-gpu1")
    assert done.exit_code == 0
    assert "us-west-2" in done.out


def test_a_setup_that_cannot_log_in_prints_the_box_that_it_knows(program, box):
    key = program.sandbox.home.root / "id_ed25519"
    key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], input="y\n", text=True, check=True)
    code, failed = program.json("setup", "aws-gpu1")
    assert code == 1
    assert failed["error"]["code"] == "ssh-refused"
    assert "Permission denied (publickey)" in failed["error"]["message"], "ssh's own words"
    known = {key: failed[key] for key in ("instance_id", "ssh_alias", "region", "setup", "setup_failed_step")}
    assert known == {
        "instance_id": box["instance_id"],
        "ssh_alias": "aws-gpu1",
        "region": "us-west-2",
        "setup": "failed",
        "setup_failed_step": "login",
    }


def test_a_changed_host_key_is_reported_with_what_to_do(program, box):
    program.sandbox.ssh_fault("changed-key")
    code, failed = program.json("setup", "aws-gpu1")
    assert code == 1
    assert failed["error"]["code"] == "ssh-refused"
    assert f"-R {box['instance_id']}" in failed["error"]["hint"]
    program.sandbox.clear_ssh_fault()


def test_an_unformatted_volume_of_the_users_own_has_a_hint_that_helps(program):
    client = program.sandbox.client()
    mine = client.create_volume(AvailabilityZone="us-west-2c", Size=10, VolumeType="gp3")["VolumeId"]
    code, failed = program.json("launch", "--no-setup", "--ebs-volume-id", mine)
    hint = failed["error"]["hint"]
    assert code == 3
    assert "setup aws-gpu1 --format-volume" in hint
    assert [line for line in hint.splitlines() if line.endswith("setup aws-gpu1")] == [], "that would fail the same way"


def test_the_table_of_a_launch_shows_no_python(program):
    shown = program("launch", "--no-setup", "--ebs-storage", "8", "-o", "table").out
    assert "{" not in shown
    assert "[" not in shown
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines() if line.startswith("ebs_volume"))
    assert rows["ebs_volume.mount_point"] == "/data"
    assert rows["ebs_volume.size_gb"] == "8"
    steps = program("launch", "--dry-run", "-r", "us-east-1", "-o", "table").out
    assert max(map(len, steps.splitlines())) < 120


def test_without_a_setup_nothing_is_printed_that_needs_one(program):
    shown = program("launch", "--no-setup").out
    assert "ssh" in shown
    assert "aws-gpu1" in shown
    assert "Jupyter" not in shown
    assert "gpu_benchmark" not in shown


def test_an_interrupted_setup_names_its_box(program, box, wait_for):
    program.sandbox.clear_ssh_fault()
    program.sandbox.ssh_fault("hanging")
    process = program.started("setup", "aws-gpu1", "-o", "json")
    wait_for(program.sandbox.ssh_commands)
    process.terminate()
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 143
    known = json.loads(out)
    assert (known["instance_id"], known["region"]) == (box["instance_id"], "us-west-2")
    program.sandbox.clear_ssh_fault()
