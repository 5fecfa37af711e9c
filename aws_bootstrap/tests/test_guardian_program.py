"""A box that ends by itself, or that EC2 takes away, as users see it: the real guardian on a box of the sandbox."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from aws_bootstrap import guardian
from aws_bootstrap.tests.programs import Program

WEST = "us-west-2"
#: The guardian's own settings, so that a test takes seconds: how often it looks, and how often its probes do.
OFTEN = "GUARDIAN_LOOK=0.2\nGUARDIAN_PROBE=0.3\n"
HOOK = "#!/bin/sh\necho $USER in $PWD > /data/mark\n"


@pytest.fixture
def watched(program: Program) -> Program:
    """The program in a sandbox whose boxes can have a guardian."""
    if program.sandbox.status()["boxes"] not in ("root", "user"):
        pytest.skip("the boxes have no namespaces")
    return program


def launch(program: Program, wait_for, *options: str) -> dict[str, Any]:
    """Return the document of a launch whose guardian looks often."""
    code, launched = program.json("launch", "--no-setup", "--ttl", "1h", *options)
    assert code == 0
    look_often(program, wait_for, launched["ssh_alias"])
    return launched


def look_often(program: Program, wait_for, alias: str) -> None:
    """Give the guardian of a box its settings."""
    unit = "aws-bootstrap-guardian"
    wait_for(lambda: program.ssh(alias, "systemctl", "is-active", unit).stdout == "active\n")
    said(
        program, alias, f"printf '{OFTEN}' | sudo tee -a /etc/aws-bootstrap/guardian.env; sudo systemctl restart {unit}"
    )


def said(program: Program, alias: str, command: str) -> str:
    done = program.ssh(alias, command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ended(program: Program) -> dict[str, Any] | None:
    """Return the box that has ended, as `status` shows it; None while there is none."""
    code, shown = program.json("status", "-r", WEST)
    assert code == 0
    assert not shown["ended"] or shown["instances"] == []
    return next(iter(shown["ended"]), None)


@pytest.mark.parametrize(("limit", "reason"), [({"deadline": 2}, "deadline"), ({"idle_timeout": 1}, "idle")])
def test_a_box_ends_at_its_limit_and_status_says_why(watched, wait_for, limit, reason):
    box = launch(watched, wait_for)
    said(watched, box["ssh_alias"], shlex.join(guardian.change_command(limit)))
    wait_for(lambda: ended(watched))
    gone = ended(watched)
    assert gone
    assert gone["instance_id"] == box["instance_id"]
    assert (gone["ssh_alias"], gone["reason"], gone["source"]) == (box["ssh_alias"], reason, "console")
    text = watched("status", "-r", WEST).out
    assert "Boxes that have ended" in text
    assert f"relaunch {box['ssh_alias']}" in text
    actions = [call["action"] for call in watched.sandbox.log("GetConsoleOutput", "DescribeSpotInstanceRequests")]
    assert set(actions) == {"GetConsoleOutput"}


def test_hooks_run_before_an_interruption_and_status_says_why(watched, wait_for):
    box = launch(watched, wait_for, "--ebs-storage", "1")
    folder = ".aws-bootstrap/on-interrupt.d"
    hook = f"mkdir -p {folder}; printf {shlex.quote(HOOK)} > {folder}/save; chmod +x {folder}/save"
    said(watched, box["ssh_alias"], hook)
    watched.sandbox.interrupt(box["instance_id"], notice=4)
    wait_for(lambda: ended(watched))
    gone = ended(watched)
    assert gone
    assert (gone["reason"], gone["source"]) == ("spot-interruption", "state-reason")
    mark = watched.sandbox.home.volumes / box["ebs_volume"]["volume_id"] / "files/mark"
    assert mark.read_text() == "ubuntu in /home/ubuntu\n"
    console = watched.sandbox.client().get_console_output(InstanceId=box["instance_id"])["Output"]
    assert "aws-bootstrap: spot interruption: " in console
    assert "this box ends" not in console


def test_a_node_of_a_cluster_stays_while_another_one_works_and_then_all_end(watched, wait_for):
    code, _ = watched.json(
        "cluster", "launch", "--cluster-id", "t", "--nodes", "2", "--no-setup", "--ttl", "1h", "--yes"
    )
    assert code == 0
    for alias in ("aws-t-0", "aws-t-1"):
        look_often(watched, wait_for, alias)
    assert watched("run", "aws-t-0", "--name", "work", "--", "sleep 600").exit_code == 0
    assert watched("extend", "t", "--idle-timeout", "60s").exit_code == 0
    said(watched, "aws-t-1", shlex.join(guardian.change_command({"idle_timeout": 5})))

    def peers(alias: str) -> str:
        return json.loads(said(watched, alias, "cat /run/aws-bootstrap/idleness.json"))["probes"]["peers"]

    wait_for(lambda: (peers("aws-t-0"), peers("aws-t-1")) == ("", "aws-t-0"))
    assert "aws-t-0 172." in said(watched, "aws-t-1", "aws-bootstrap peers")
    assert said(watched, "aws-t-1", "getent hosts aws-t-0").split()[0].startswith("172.")
    said(watched, "aws-t-0", shlex.join(guardian.change_command({"idle_timeout": 5})))
    said(watched, "aws-t-0", "sudo systemctl stop aws-bootstrap-run-work")
    wait_for(lambda: len(watched.json("status", "-r", WEST)[1]["ended"]) == 2)
    assert {box["reason"] for box in watched.json("status", "-r", WEST)[1]["ended"]} == {"idle"}
