"""The command classes: where an option's value comes from."""

from __future__ import annotations

import pytest

CONFIGURED = {"launch": {"volume_size": 42, "spot": True}}


@pytest.fixture
def seen(monkeypatch, run):
    """The parameters with which `launch` is called."""
    from aws_bootstrap.cli import main

    command = main.commands["launch"]
    calls: list[dict] = []
    monkeypatch.setattr(command, "callback", lambda **given: calls.append(given))

    def invoke(*words: str, **more) -> dict:
        done = run("launch", *words, **more)
        assert done.exit_code == 0, done.output
        return calls[-1]

    return invoke


def test_a_command_has_the_defaults_of_its_parent(seen):
    """As a configuration file gives them."""
    assert seen(default_map=CONFIGURED)["volume_size"] == 42
    assert seen("--volume-size", "50", default_map=CONFIGURED)["volume_size"] == 50
    assert seen()["volume_size"] == 100


def test_a_variable_stands_above_the_defaults_of_the_parent(seen, monkeypatch):
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_VOLUME_SIZE", "60")
    monkeypatch.setenv("AWS_BOOTSTRAP_LAUNCH_ON_DEMAND", "1")
    given = seen(default_map=CONFIGURED)
    assert (given["volume_size"], given["spot"]) == (60, False)
    assert seen("--spot", default_map=CONFIGURED)["spot"] is True, "what is typed stands above both"
