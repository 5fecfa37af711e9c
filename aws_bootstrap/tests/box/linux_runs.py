"""Runs on a real Linux with systemd: what ends them, who they are, what the guardian sees of them. Run by .ci/box."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.guardian import Limits
from aws_bootstrap.ssh_bytes import AfterMark, Frames
from aws_bootstrap.ssh_frame import CONNECTED, in_bash
from aws_bootstrap.tests.box import guarded
from aws_bootstrap.tests.box.guarded import console, hook, idleness, install, put
from aws_bootstrap.tests.box.machines import Container, Network, until
from aws_bootstrap.workflows.runs import PYTHON, RESOURCES, program

NUMBERS = itertools.count(81)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("runs"))
    yield network
    network.close()


@pytest.fixture
def box(network: Network) -> Iterator[Container]:
    """A fresh box whose logins end with all of their processes, as an administrator may have set it."""
    box = Container(network, next(NUMBERS)).start()
    put(box, "/etc/systemd/logind.conf.d/kill.conf", "[Login]\nKillUserProcesses=yes\nUserStopDelaySec=0\n")
    box.says("sudo systemctl restart systemd-logind; sudo mkdir /data; sudo mount -t tmpfs -o uid=1000 tmpfs /data")
    box.says("printf 'export FROM_RC=yes\\n' | cat - ~/.bashrc >~/new && mv ~/new ~/.bashrc")
    yield box
    if guarded.is_running(box):
        box.cut_power()


def sent(box: Container, what: str, **spec: Any) -> bytes:
    """What the box sends for this request, after its mark."""
    got = bytearray()
    words = [*box.ssh_words(), in_bash(f"echo {CONNECTED}; {PYTHON}")]
    done = subprocess.run(words, input=program(what, spec), capture_output=True)
    assert done.returncode == 0, done.stderr
    AfterMark(got.extend).take(done.stdout)
    return bytes(got)


def start(box: Container, command: str, **more: Any) -> str:
    """Start a run over a connection of its own; its id."""
    spec = {"command": command, "folder": None, "name": None, "then": None, "job": (RESOURCES / "job.py").read_text()}
    answer = json.loads(sent(box, "start", **(spec | more)))
    assert "error" not in answer, answer
    return answer["id"]


def run(box: Container, name: str) -> dict[str, Any]:
    """The run, as `ps` lists it."""
    (found,) = [one for one in json.loads(sent(box, "list"))["runs"] if one["id"] == name]
    return found


def log(box: Container, name: str) -> bytes:
    """The whole log of a run, once it has ended."""
    got = bytearray()
    frames = Frames(got.extend)
    frames.take(sent(box, "logs", source="run", run=name, lines=None, offset=None, follow=True))
    return bytes(got)


def shown(box: Container, name: str, key: str) -> str:
    return box.says(f"systemctl show -P {key} aws-bootstrap-run-{name}")


def test_a_run_is_a_service_of_the_system_with_the_login_s_user_and_variables(box):
    about = "id -un; id -Gn; echo $FROM_RC $PWD $SSH_CONNECTION$XDG_RUNTIME_DIR; echo err >&2"
    name = start(box, f"{about}; until [ -e ~/seen ]; do sleep 0.1; done; exit 5")
    assert shown(box, name, "ControlGroup") == f"/system.slice/aws-bootstrap-run-{name}.service"
    assert (run(box, name)["state"], run(box, name)["exit_code"]) == ("running", None)
    groups = box.says("touch ~/seen; id -Gn")
    assert log(box, name).decode() == f"ubuntu\n{groups}\nyes /home/ubuntu\nerr\n"
    assert (run(box, name)["state"], run(box, name)["exit_code"]) == ("exited", 5)
    until(lambda: shown(box, name, "LoadState") == "not-found", "systemd forgets the unit, that failed too")


def test_a_logout_ends_the_login_s_processes_and_no_run(box):
    name = start(box, "sleep 1000")
    box.says("nohup sleep 2000 >/dev/null 2>&1 &")
    until(lambda: box.ssh("pgrep -fx 'sleep 2000'", check=False).returncode == 1, "logind ends the login's processes")
    assert run(box, name)["state"] == "running"
    box.says(f"sudo systemctl stop aws-bootstrap-run-{name}")
    assert (run(box, name)["state"], run(box, name)["exit_code"]) == ("exited", 143)


def test_a_run_that_was_killed_is_lost(box):
    name = start(box, "trap '' TERM; while :; do sleep 1; done")
    box.says(f"sudo systemctl kill -s KILL aws-bootstrap-run-{name}")
    until(lambda: run(box, name)["state"] == "lost", "a run that was killed")


def test_the_guardian_counts_a_run_as_work(box):
    put(box, "/usr/bin/nvidia-smi", "#!/bin/sh\necho 0\n", 0o755)
    install(box, Limits())
    until(lambda: idleness(box)["idle_seconds"] >= 2, "a box that is idle", 60)
    name = start(box, "sleep 1000")
    until(lambda: idleness(box)["probes"]["jobs"] == f"aws-bootstrap-run-{name}.service", "the probe of jobs")
    assert idleness(box)["idle_seconds"] == 0


def test_then_terminate_ends_the_box_with_hooks_and_keeps_the_log_on_data(box):
    box.says("sudo umount /data; sudo mkdir -p /kept; sudo mount --bind /kept /data; sudo chown ubuntu: /data")
    hook(box, "on-end.d", "10-note", "mountpoint -q /data && echo mounted >~/hook")
    install(box, Limits())
    start(box, "echo result; exit 3", name="train", then="terminate")
    guarded.wait_for_end(box, 60)
    assert "aws-bootstrap: this box ends: run" in console(box)
    assert box.path("home/ubuntu/hook").read_text() == "mounted\n"
    (folder,) = box.path("kept/aws-bootstrap-runs").iterdir()
    assert folder.name.endswith("-train")
    assert (folder / "log").read_text() == "result\n"
    assert json.loads((folder / "run.json").read_text())["exit_code"] == 3
