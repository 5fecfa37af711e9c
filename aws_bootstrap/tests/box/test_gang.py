"""Agents of a gang: how a job begins, how it ends, and that nothing of it is left (resources/gang)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box.gangs import Gang

Create = Callable[..., Gang]
#: A job that runs until it is ended.
FOREVER = "echo $NODE >>begun\nsleep 1000\n"


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


def test_a_job_that_succeeds_everywhere_succeeds(create):
    gang = create(3).script("echo $AWSB_NODE_RANK of $AWSB_NUM_NODES >>ran; echo output").start()
    assert gang.codes() == [0, 0, 0]
    assert gang.result() == ("done", None, "The job succeeded on all 3 nodes.")
    assert sorted(gang.lines("ran")) == ["0 of 3", "1 of 3", "2 of 3"]
    assert "output\n" in gang.log(1)
    assert gang.processes() == []


def test_a_job_that_fails_on_one_node_ends_on_all(create):
    gang = create(3).script(f"if [ $NODE = 1 ]; then exit 3; fi\n{FOREVER}").start()
    assert gang.codes() == [75, 3, 75]
    assert gang.result() == ("job-failed", 1, "The job on node 1 failed with exit code 3.")
    assert [found["returncode"] for found in gang.results()] == [75, 3, 75]
    assert gang.processes() == []


@pytest.mark.parametrize("victim", [0, 1], ids=["hub", "other"])
def test_an_agent_that_is_killed_ends_the_others(create, victim):
    gang = create(3).script(FOREVER).start()
    gang.until_noted("begun", 3)
    gang.signal(victim, signal.SIGKILL)
    outcome, culprit, reason = gang.result()
    assert (outcome, culprit) == ("node-lost", victim)
    assert "was lost: its connection is closed." in reason
