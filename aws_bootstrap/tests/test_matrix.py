"""What holds the fault matrix to the code: each command and each call has its scenario. `.ci/faults` runs the cases."""

from __future__ import annotations

from aws_bootstrap.tests.matrix import choice, coverage
from aws_bootstrap.tests.matrix.scenarios import BY_NAME


def test_every_scenario_of_the_gate_exists():
    assert choice.gate_scenarios() - set(BY_NAME) == set()


def test_every_command_has_a_scenario():
    assert coverage.commands_without_scenario() == []


def test_every_call_of_the_code_is_made_by_a_scenario():
    """By the recording that is kept; a call that is new needs a scenario, and then `.ci/faults --record`."""
    assert coverage.calls_never_made(choice.recorded_calls()) == []
