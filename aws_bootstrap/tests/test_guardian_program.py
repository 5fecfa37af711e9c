"""A box that ends by itself, or that EC2 takes away, as users see it: the real guardian on a box of the sandbox."""

from __future__ import annotations

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
    alias = launched["ssh_alias"]
    unit = "aws-bootstrap-guardian"
    wait_for(lambda: program.ssh(alias, "systemctl", "is-active", unit).stdout == "active\n")
    said(
        program, alias, f"printf '{OFTEN}' | sudo tee -a /etc/aws-bootstrap/guardian.env; sudo systemctl restart {unit}"
    )
    return launched


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
