"""The fault matrix' part in the gate: its fixed core, every case that ever failed, and its coverage of the code.

All of it: `.ci/faults`.
"""

from __future__ import annotations

import pytest

from aws_bootstrap.tests.matrix import choice, coverage
from aws_bootstrap.tests.matrix.lanes import Lanes, Verdict
from aws_bootstrap.tests.matrix.scenarios import BY_NAME

LANES = 3
"""Cases at a time: most of their time is waiting."""


@pytest.mark.parametrize("group", ["launch", "others"])
def test_the_core_and_every_case_that_ever_failed_hold(group, tmp_path):
    wanted = choice.failed_once()
    names = {*choice.CORE_SCENARIOS, *map(choice.scenario_of, wanted)}
    scenarios = [scenario for name, scenario in BY_NAME.items() if name in names and choice.group_of(name) == group]
    verdicts: list[Verdict] = []
    with Lanes(tmp_path, LANES) as lanes:
        cases = [case for recording in lanes.record(scenarios) for case in choice.cases_of(recording)]
        chosen = [case for case in cases if choice.is_core(case) or case.id in wanted]
        lanes.judge(chosen, verdicts.append)
    known = choice.known_failures()
    assert [told(v) for v in verdicts if v.violations and v.case.id not in known] == []
    cured = [v.case.id for v in verdicts if not v.violations and v.case.id in known]
    assert cured == [], "these hold now: take them out of known_failures.txt"
    lost = {one for one in wanted if choice.group_of(one) == group} - {case.id for case in cases}
    assert lost == set(), "these cases exist no more: put what took their place into failed_cases.txt"


def told(verdict: Verdict) -> str:
    return f".ci/faults --case '{verdict.case.id}': {'; '.join(verdict.violations)}"


def test_every_command_has_a_scenario():
    assert coverage.commands_without_scenario() == []


def test_every_call_of_the_code_is_made_by_a_scenario():
    """By the recording that is kept; a call that is new needs a scenario, and then `.ci/faults --record`."""
    assert coverage.calls_never_made(choice.recorded_calls()) == []
