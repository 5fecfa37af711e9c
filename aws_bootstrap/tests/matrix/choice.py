"""Which cases are run: all, the fixed core of the gate, those that ever failed, those that are known to fail."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aws_bootstrap.tests.matrix.cases import Case, cases_of
from aws_bootstrap.tests.matrix.recording import Recording

FOLDER = Path(__file__).parent
CORE_CALLS = ("RunInstances", "CreateVolume", "TerminateInstances", "DeleteVolume", "CreateTags")
CORE_FAULTS = ("denied", "lost-once", "SIGINT", "SIGTERM", "SIGKILL")
CORE_SCENARIOS = ("launch-ebs-storage", "launch-ebs-volume-id", "terminate-alias", "terminate-keep-ebs")


def all_cases(recordings: Iterable[Recording]) -> list[Case]:
    """Every case, less those that repeat another.

    Before a command has changed anything, the same call is the same in all of its forms; so is a reply that lacks a
    field at any time.
    """
    chosen: list[Case] = []
    seen: set[tuple[str, ...]] = set()
    for recording in recordings:
        for case in cases_of(recording):
            key = _sameness(case)
            if key not in seen:
                chosen.append(case)
            seen.add(key)
    return chosen


def _sameness(case: Case) -> tuple[str, ...]:
    is_early = case.call is not None and not (case.call.after_write or case.call.changes)
    if not is_early and not case.dropped_field:
        return (case.id,)
    return (case.scenario.argv[0], case.place, case.what)


def without_repetitions(cases: Iterable[Case]) -> list[Case]:
    """The cases, of those in which an action's reply lacks the same field one alone.

    One function reads the reply for all commands. The gate has the first command that failed; .ci/second has them all.
    """
    chosen: list[Case] = []
    seen: set[tuple[str, str]] = set()
    for case in cases:
        if case.call is not None and case.dropped_field:
            key = (case.call.action, case.what)
            if key in seen:
                continue
            seen.add(key)
        chosen.append(case)
    return chosen


def is_core(case: Case) -> bool:
    """Whether the case is of the gate's fixed core."""
    is_call = case.call is not None and case.call.action in CORE_CALLS
    return is_call and case.what in CORE_FAULTS and case.scenario.name in CORE_SCENARIOS


def failed_once() -> set[str]:
    """The ids of every case that ever failed."""
    return _ids("failed_cases.txt")


def known_failures() -> set[str]:
    """The ids of the cases that fail today and are being cured."""
    return _ids("known_failures.txt")


def recorded_calls() -> set[str]:
    """The actions that the last recording of all scenarios called."""
    return _ids("recorded_calls.txt")


def keep_recorded_calls(actions: Iterable[str]) -> None:
    """Keep what a recording called."""
    head = "# Every AWS action that a clean run of some scenario calls. Written by .ci/faults --record.\n"
    (FOLDER / "recorded_calls.txt").write_text(head + "".join(f"{action}\n" for action in sorted(set(actions))))


def _ids(name: str) -> set[str]:
    lines = (FOLDER / name).read_text().splitlines()
    return {line.partition(" #")[0].strip() for line in lines if line.strip() and not line.startswith("#")}


def gate_scenarios() -> set[str]:
    """The names of the scenarios that the gate runs."""
    return {*CORE_SCENARIOS, *map(scenario_of, failed_once())}


def scenario_of(case_id: str) -> str:
    """The scenario's name in a case's id."""
    return case_id.partition(":")[0]
