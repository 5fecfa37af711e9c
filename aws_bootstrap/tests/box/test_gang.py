"""Agents of a gang: how a job begins, how it ends, and that nothing of it is left (resources/gang)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box.gangs import Gang

HERE = Path(__file__).parent
Create = Callable[..., Gang]
#: A job that runs until it is ended.
FOREVER = "echo $NODE >>begun\nsleep 1000\n"
STUBBORN = """\
trap '' TERM HUP INT
setsid bash -c 'trap "" TERM; echo session >>begun; while :; do sleep 1; done' &
(setsid bash -c 'echo orphan >>begun; sleep 1000' &)
echo $NODE >>begun
while :; do sleep 1; done
"""


@pytest.fixture
def create(tmp_path: Path) -> Iterator[Create]:
    """A function that writes a gang. At the end nothing of it may be left."""
    created: list[Gang] = []

    def write(size: int, **spec: Any) -> Gang:
        created.append(Gang(tmp_path / f"gang{len(created)}", size, **spec))
        return created[-1]

    yield write
    for gang in created:
        gang.close()


# --- how it begins -----------------------------------------------------------------------------------------------


def test_a_job_that_succeeds_everywhere_succeeds(create):
    gang = create(3).script("echo $AWSB_NODE_RANK $1 >>ran; echo output", name="job.sh")
    for position in range(3):
        gang.write(position, arguments=[f"word{position}"])
    gang.start()
    assert gang.codes() == [0, 0, 0]
    assert gang.result() == ("done", None, "The job succeeded on all 3 nodes.")
    assert [found["returncode"] for found in gang.results()] == [0, 0, 0]
    assert sorted(gang.lines("ran")) == ["0 word0", "1 word1", "2 word2"]
    assert "output\n" in gang.log(1)
    assert gang.processes() == []


def test_the_job_finds_the_cluster_in_its_variables(create):
    gang = create(2, checkpoint_dir="~/checkpoints", nproc=4).script("env >$NODE.env")
    gang.start(HOME=str(gang.folder), NCCL_SOCKET_IFNAME="ens5").codes()
    found = dict(line.partition("=")[::2] for line in gang.lines("1.env"))
    addresses = [node["address"] for node in gang.spec["nodes"]]
    assert {name: value for name, value in found.items() if name.startswith("AWSB_")} == {
        "AWSB_CHECKPOINT_DIR": str(gang.folder / "checkpoints"),
        "AWSB_CLUSTER_ID": "train",
        "AWSB_JOB": "job-20260101-000000",
        "AWSB_MASTER_ADDR": addresses[0],
        "AWSB_NODE_IPS": ",".join(addresses),
        "AWSB_NODE_RANK": "1",
        "AWSB_NUM_GPUS_PER_NODE": "4",
        "AWSB_NUM_NODES": "2",
        "AWSB_SUCCESS_FILE": str(gang.run(1) / "success"),
    }
    assert (gang.folder / "checkpoints").is_dir()
    assert (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"]) == ("lo", "ens5")


def test_no_job_begins_before_the_last_data_script_has_ended(create):
    gang = create(3, data_script="data.sh").script("echo job $NODE >>events")
    slow = "if [ $NODE = 2 ]; then until [ $(wc -l <events) = 2 ]; do sleep 0.05; done; sleep 0.5; fi 2>/dev/null"
    gang.script(f"{slow}\necho data $NODE >>events", "data.sh").start()
    assert gang.result()[0] == "done"
    events = gang.lines("events")
    assert sorted(events[:3]) == ["data 0", "data 1", "data 2"]
    assert sorted(events[3:]) == ["job 0", "job 1", "job 2"]


def test_a_data_script_that_fails_means_that_no_job_begins(create):
    gang = create(3, data_script="data.py").script("echo job >>events")
    gang.program("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    gang.script("import os, sys\nsys.exit(4 if os.environ['NODE'] == '1' else 0)", "data.py").start()
    assert gang.codes() == [75, 4, 75]
    assert gang.result() == ("data-script-failed", 1, "The data script on node 1 failed with exit code 4.")
    assert gang.lines("events") == []


def test_nodes_that_do_not_come_are_named(create):
    gang = create(4, join_seconds=1).script("echo job >>events").start(0, 2)
    assert gang.result() == ("join-timeout", 1, "Nodes 1 and 3 did not join within 1 s.")
    assert gang.codes() == [75, 75]
    assert gang.lines("events") == []


def test_an_agent_whose_token_is_wrong_is_no_member(create):
    gang = create(2, join_seconds=1).script("echo job >>events")
    gang.write(1, token="guessed")
    gang.start()
    results = gang.results()
    assert [(found["outcome"], found["culprit"]) for found in results] == [("join-timeout", 1), ("join-timeout", 0)]
    assert "was not found in time: it refused: the token is wrong." in results[1]["reason"]
    assert gang.lines("events") == []


def test_strangers_and_agents_that_start_late_do_no_harm(create):
    gang = create(2).script("echo job >>events").start(0)
    hub = (gang.spec["nodes"][0]["address"], gang.spec["port"])
    connected: list[socket.socket] = []
    gang.until(lambda: connect(hub, connected), "the hub listens")
    connected[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert connected[0].recv(100) == b""
    for sent in (b'{"type": "hello", "job": "job-1", "token": 5}\n', b'{"type": "hello"}\n', b'{"type": "beat"}\n'):
        assert connect(hub, connected)
        connected[-1].sendall(sent)
        assert json.loads(connected[-1].recv(1000))["type"] == "refused"
    assert connect(hub, connected), "one that says nothing"
    gang.start(1)
    assert gang.result()[0] == "done"
    for one in connected:
        one.close()


def connect(address: tuple[str, int], connected: list[socket.socket]) -> bool:
    """Return whether somebody listens there, and is connected now."""
    try:
        connected.append(socket.create_connection(address, 30))
    except OSError:
        return False
    return True


def test_a_job_that_takes_long_is_not_taken_for_silence(create):
    gang = create(2, silence_seconds=3).script("sleep 4").start()
    assert gang.result()[0] == "done"


# --- how it ends -------------------------------------------------------------------------------------------------


def test_a_job_that_fails_on_one_node_ends_on_all(create):
    gang = create(3).script(f"if [ $NODE = 1 ]; then exit 3; fi\n{FOREVER}").start()
    assert gang.codes() == [75, 3, 75]
    assert gang.result() == ("job-failed", 1, "The job on node 1 failed with exit code 3.")
    assert [found["returncode"] for found in gang.results()] == [75, 3, 75]
    assert gang.processes() == []


def test_a_job_that_cannot_be_started_has_failed(create):
    gang = create(2, folder="/does/not/exist").start()
    outcome, _, reason = gang.result()
    assert (outcome, gang.codes()) == ("job-failed", [127, 127])
    assert "was not started: " in reason
    assert "/does/not/exist" in reason


@pytest.mark.parametrize("victim", [0, 1], ids=["hub", "other"])
def test_an_agent_that_is_killed_ends_the_others(create, victim):
    gang = create(3).script(FOREVER).start()
    gang.until_noted("begun", 3)
    gang.send(victim, signal.SIGKILL)
    outcome, culprit, reason = gang.result()
    assert (outcome, culprit) == ("node-lost", victim)
    assert "was lost: its connection is closed." in reason


@pytest.mark.parametrize(("size", "victim"), [(3, 0), (2, 1)], ids=["hub", "other"])
def test_a_node_that_falls_silent_is_lost(create, size, victim):
    """A stopped agent is what a node without a network is to the others: its connections stay open."""
    gang = create(size, silence_seconds=3).script(FOREVER).start()
    gang.until_noted("begun", size)
    gang.send(victim, signal.SIGSTOP)
    others = [agent for position, agent in gang.agents.items() if position != victim]
    assert {agent.wait(60) for agent in others} == {75}
    gang.send(victim, signal.SIGCONT)
    outcomes = [(found["outcome"], found["culprit"]) for found in gang.results()]
    assert outcomes.pop(victim) == ("node-lost", 0), "without a connection it takes the hub to be lost"
    assert set(outcomes) == {("node-lost", victim)}
    assert gang.processes() == []


@pytest.mark.parametrize("stopped", [0, 1], ids=["hub", "other"])
def test_a_signal_to_one_agent_stops_all(create, stopped):
    gang = create(3).script(FOREVER).start()
    gang.until_noted("begun", 3)
    gang.send(stopped, signal.SIGTERM)
    assert gang.result() == ("stopped", stopped, f"Node {stopped} was stopped by SIGTERM.")
    assert gang.codes() == [75, 75, 75]
    assert gang.processes() == []


def test_a_signal_to_all_processes_of_a_node_is_no_failure_of_its_job(create):
    """So does systemd stop a service. The job may end before the agent has heard of it."""
    gang = create(2).script("trap 'exit 9' TERM\necho $NODE >>begun\nwhile :; do sleep 0.01; done").start()
    gang.until_noted("begun", 2)
    for process in sorted(gang.processes_of(1), reverse=True):
        gang.kill(process, signal.SIGTERM)
    assert gang.result() == ("stopped", 1, "Node 1 was stopped by SIGTERM.")


def test_an_agent_that_is_stopped_alone_leaves(create):
    gang = create(2).script(FOREVER).start(1)
    gang.until(lambda: gang.run(1).joinpath("marks").is_dir(), "the agent runs")
    gang.send(1, signal.SIGINT)
    assert gang.result() == ("stopped", 1, "Node 1 was stopped by SIGINT.")


def test_what_ignores_signals_or_has_a_session_of_its_own_is_ended_too(create):
    gang = create(2, end_seconds=0.5).script(STUBBORN).start()
    begun = gang.until_noted("begun", 6)
    assert sorted(begun) == ["0", "1", "orphan", "orphan", "session", "session"]
    gang.send(0, signal.SIGTERM)
    assert gang.result()[0] == "stopped"
    assert gang.processes() == []


def test_what_a_job_leaves_behind_is_ended(create):
    gang = create(2).script("(setsid sleep 1000 &)").start()
    assert gang.result()[0] == "done"
    assert gang.processes() == []


def test_a_stopped_process_is_ended_in_time(create):
    gang = create(1, end_seconds=60).script("trap 'echo ended >>begun; exit' TERM\necho >>begun\nkill -STOP $$").start()
    gang.until_noted("begun", 1)
    gang.send(0, signal.SIGTERM)
    assert gang.result()[0] == "stopped"
    assert gang.lines("begun") == ["", "ended"]


def test_a_spot_notice_ends_the_gang(create, tmp_path):
    served = tmp_path / "imds"
    (served / "spot").mkdir(parents=True)
    words = [sys.executable, str(HERE / "imds.py"), str(served), "127.0.0.1", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as metadata:
        assert metadata.stdout
        address = f"127.0.0.1:{metadata.stdout.readline().strip()}"
        gang = create(2).script(FOREVER)
        gang.start(0).start(1, GUARDIAN_METADATA=address, GANG_NOTICE="0.1")
        gang.until_noted("begun", 2)
        notice = {"action": "terminate", "time": "2026-01-01T00:02:00Z"}
        (served / "spot" / "instance-action").write_text(json.dumps(notice))
        reason = "EC2 takes node 1 away: terminate at 2026-01-01T00:02:00Z."
        assert gang.result() == ("spot-notice", 1, reason)
        metadata.terminate()


def test_an_address_that_is_no_longer_in_use_is_waited_for(create):
    gang = create(1).script("true")
    address = (gang.spec["nodes"][0]["address"], gang.spec["port"])
    with socket.create_server(address):
        gang.start()
        gang.until(lambda: "Address already in use" in gang.log(0), "the agent has tried to listen")
    assert gang.result()[0] == "done"


def test_an_agent_of_an_address_that_this_node_does_not_have_fails_in_time(create):
    gang = create(1, listen_seconds=0.3)
    gang.write(0, nodes=[{"rank": 5, "address": "203.0.113.7"}])
    outcome, culprit, reason = gang.start().result()
    assert (outcome, culprit) == ("agent-failed", 5)
    assert "Cannot assign requested address" in reason


@pytest.mark.parametrize("broken", [0, 1], ids=["hub", "other"])
def test_an_error_of_an_agent_ends_the_gang_at_once(create, broken):
    gang = create(2).script("echo job >>events")
    (gang.run(broken) / "marks").write_text("no folder")
    gang.start(1 - broken)
    gang.until(lambda: gang.run(1 - broken).joinpath("marks").is_dir(), "the sound agent looks for the other one")
    gang.start(broken)
    outcome, culprit, reason = gang.result()
    assert (outcome, culprit) == ("agent-failed", broken)
    assert reason.startswith(f"The agent of node {broken} failed: FileExistsError: ")
    assert gang.lines("events") == []
