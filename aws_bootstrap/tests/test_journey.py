"""A box's whole life with the real program, the real ssh and the real scp.

A promise of all commands together, so that it is no test of one of them.
"""

from __future__ import annotations

import re

import yaml


def test_launch_status_ssh_scp_terminate(program, tmp_path):
    launched = program("launch", "-o", "json")
    assert launched.exit_code == 0, launched.err
    box = launched.document
    assert box["ssh_alias"] == "aws-gpu1"
    assert box["setup"] == "completed"
    assert box["pricing"] == "spot"
    assert box["cuda_version"] == "13.2"
    assert box["regions_tried"] == ["us-west-2"]

    seen = program("status", "-o", "json").document
    assert [(i["instance_id"], i["state"], i["ssh_alias"]) for i in seen["instances"]] == [
        (box["instance_id"], "running", "aws-gpu1")
    ]
    assert seen["instances"][0]["spot_price_per_hour"] > 0
    assert seen["regions_failed"] == []
    assert len(seen["regions_queried"]) == 17
    assert yaml.safe_load(program("status", "-o", "yaml").out)["instances"][0]["instance_id"] == box["instance_id"]
    table = program("status", "-o", "table").out
    assert box["instance_id"] in table
    assert "Alias" in table
    text = program("status", "aws-gpu1").out
    assert "aws-gpu1  running" in text
    assert "aws-bootstrap --sandbox terminate aws-gpu1" in text

    assert "Tesla T4" in program.ssh("aws-gpu1", "nvidia-smi").stdout
    mine = tmp_path / "data.bin"
    mine.write_bytes(bytes(range(256)) * 1000)
    assert program.ssh(str(mine), "aws-gpu1:sub.bin", client="scp").returncode == 0
    assert program.ssh("aws-gpu1:sub.bin", str(tmp_path / "back.bin"), client="scp").returncode == 0
    assert (tmp_path / "back.bin").read_bytes() == mine.read_bytes()

    ended = program("terminate", "aws-gpu1", "--yes", "-o", "json").document["terminated"]
    assert [(t["instance_id"], t["previous_state"], t["ssh_alias_removed"]) for t in ended] == [
        (box["instance_id"], "running", "aws-gpu1")
    ]
    left = program("status", "-o", "json").document["instances"]
    assert all(i["state"] == "shutting-down" for i in left)
    home = program.sandbox.home.root
    assert (home / "ssh_config").read_text() == ""
    assert box["instance_id"] not in (home / "known_hosts").read_text()


def test_after_termination_nothing_is_left(program, wait_for):
    box = program("launch", "--no-setup", "-o", "json").document
    program("terminate", box["instance_id"], "--yes")
    wait_for(lambda: program("status", "-r", "us-west-2", "-o", "json").document["instances"] == [])
    assert "No instances" in program("status").out


def test_the_printed_commands_work_as_printed(program):
    # A type without a GPU, for trying things out: that is told and no failure.
    launched = program("launch", "--instance-type", "t3.medium")
    assert launched.exit_code == 0
    assert "GPU and driver: WARNING: no NVIDIA GPU" in launched.err
    printed = launched.out.splitlines()
    login = next(line.split(None, 1)[1] for line in printed if line.split()[:1] == ["SSH"])
    assert login.split()[:2] == ["ssh", "-F"]
    assert program.ssh(login.split()[-1], "echo $HOME && command -v python").stdout.splitlines()[0].startswith("/")
    link = next(line.partition("Jupyter's link")[2] for line in printed if "jupyter-link" in line)
    page, _, token = program.ssh(*link.split()[3:]).stdout.strip().partition("?token=")
    assert page == "http://localhost:8888/lab"
    assert re.fullmatch("[0-9a-f]{48}", token)
    check_jupyter_asks_for_the_token(program, page, token)
    check_jupyter_listens_on_loopback_alone(program)
    check_nothing_shows_the_token(program, token)


def check_jupyter_asks_for_the_token(program, page: str, token: str) -> None:
    status = "curl -s -o /dev/null -w '%{http_code} '"
    api = page.replace("/lab", "/api/status")
    asked = [f"{page}?token={token}", f"{api}?token={token}", page, api, f"{api}?token={token[::-1]}"]
    commands = "; ".join(f"{status} '{address}'" for address in asked)
    assert program.ssh("aws-gpu1", commands).stdout.split() == ["200", "200", "302", "403", "403"]


def check_jupyter_listens_on_loopback_alone(program) -> None:
    # Any other address of the box: a server that listens on all of them would answer.
    for address, status in (("127.0.0.2", 1), ("127.0.0.1", 0)):
        assert program.ssh("aws-gpu1", f"bash -c ': </dev/tcp/{address}/8888'").returncode == status


def check_nothing_shows_the_token(program, token: str) -> None:
    hidden = f"[{token[0]}]{token[1:]}"  # a pattern that does not find itself
    assert program.ssh("aws-gpu1", f"cat /proc/[0-9]*/cmdline | grep -c '{hidden}'").stdout == "0\n"
    assert program.ssh("aws-gpu1", f"grep -rlF {token} .aws-bootstrap").stdout == ".aws-bootstrap/jupyter.env\n"
    assert token not in program.ssh("aws-gpu1", "journalctl -u jupyter").stdout


def test_the_box_is_pinned_by_its_host_key(program):
    box = program("launch", "--no-setup", "-o", "json").document
    known = program.sandbox.home.root / "known_hosts"
    line = known.read_text().strip()
    assert line.startswith(box["instance_id"] + " ")
    known.write_text(line.rsplit(" ", 1)[0] + " AAAAC3NzaC1lZDI1NTE5AAAAIJ1ZrP6J5nJ0o1y2z3x4w5v6u7t8s9r0q1p2o3n4m5l6\n")
    failed = program("setup", "aws-gpu1", "-o", "json")
    assert failed.exit_code == 1
    assert failed.document["error"]["code"] == "ssh-refused"


def test_every_option_reaches_the_box(program, tmp_path):
    script = tmp_path / "mine.sh"
    script.write_text('#!/bin/sh\necho "$0 ran" > from-my-script\n')
    code, box = program.json(
        *("launch", "--tag", "team=vision", "--metadata-hop-limit", "2", "--volume-size", "120"),
        *("--python-version", "3.13", "--setup-script", str(script), "--ssh-port", "2200", "--on-demand"),
    )
    assert code == 0
    assert box["pricing"] == "on-demand"
    assert program.ssh("aws-gpu1", "cat from-my-script").stdout.endswith("ran\n")
    sent = program.sandbox.log("RunInstances")[-1]["parameters"]
    assert sent["MetadataOptions.HttpPutResponseHopLimit"] == "2"
    assert sent["MetadataOptions.HttpTokens"] == "required"
    assert sent["BlockDeviceMapping.1.Ebs.VolumeSize"] == "120"
    assert sent["BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
    tagged = [name for name, value in sent.items() if value == "vision"]
    assert len(tagged) == 3, "on instance, volume and network interface"
    first = next(name for name, value in sent.items() if value == "aws-bootstrap-launch").rpartition("Tag.")[0]
    kept = "".join(sent.get(f"{first}Tag.{number}.Value", "") for number in range(4, 9))
    assert "vision" in kept, "in the kept options, which a long path divides into several tags"


def test_options_come_from_the_environment(program):
    env = {"AWS_BOOTSTRAP_LAUNCH_INSTANCE_TYPE": "g5.xlarge,g4dn.xlarge", "AWS_BOOTSTRAP_LAUNCH_TAG": "a=1,b=2"}
    code, plan = program.json("launch", "--dry-run", env={**env, "AWS_REGION": "eu-west-1"})
    assert code == 0
    assert plan["instance_type"] == "g5.xlarge"
    assert plan["regions"] == ["eu-west-1"]
    assert plan["tags"] == {"a": "1", "b": "2"}
    assert plan["ssh_port"] == 2222
    assert program.json("launch", env={"AWS_BOOTSTRAP_LAUNCH_DRY_RUN": "1"})[1]["dry_run"] is True
    code, plan = program.json("launch", "--dry-run", env={"AWS_BOOTSTRAP_LAUNCH_ON_DEMAND": "1"})
    assert plan["pricing"] == "on-demand"
