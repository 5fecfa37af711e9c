"""The whole matrix, or a part of it: `.ci/faults [--core | --case ID | --only REGEX] [--write]`."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from aws_bootstrap.tests import reliability
from aws_bootstrap.tests.matrix import choice, coverage, report
from aws_bootstrap.tests.matrix.cases import Case
from aws_bootstrap.tests.matrix.evidence import Evidence
from aws_bootstrap.tests.matrix.lanes import Lanes, Verdict
from aws_bootstrap.tests.matrix.recording import Recording
from aws_bootstrap.tests.matrix.scenarios import SCENARIOS, Scenario

_PROGRESS_EVERY = 15.0
_SLOW = ("timeout", "hanging", "mute", "wrong-key", "refused", "throttled")


class Tally:
    """The verdicts so far, and what is told of them as they come."""

    def __init__(self, total: int, known: set[str]) -> None:
        self.verdicts: list[Verdict] = []
        self._total, self._known = total, known
        self._began = self._told = time.monotonic()

    def take(self, verdict: Verdict) -> None:
        """Keep a verdict; tell a violation at once, and now and then how far it is."""
        self.verdicts.append(verdict)
        if verdict.violations and verdict.case.id not in self._known:
            _tell(f"VIOLATED  --case '{verdict.case.id}'")
            for sentence in verdict.violations:
                _tell(f"    {sentence}")
        if time.monotonic() - self._told > _PROGRESS_EVERY:
            self._told = time.monotonic()
            self._tell_progress()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def _tell_progress(self) -> None:
        done = len(self.verdicts)
        left = self.seconds / done * (self._total - done)
        _tell(f"{done} of {self._total} cases, {len(self.new)} violated; {left / 60:.0f} minutes to go")

    @property
    def new(self) -> list[Verdict]:
        """Violations that nobody knows of."""
        return [v for v in self.verdicts if v.violations and v.case.id not in self._known]

    @property
    def cured(self) -> list[Verdict]:
        """Cases that are known to fail and did not."""
        return [v for v in self.verdicts if not v.violations and v.case.id in self._known]


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the sandboxes end with us
    asked = _arguments(arguments)
    wanted = _scenarios(asked)
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, Lanes(Path(folder), asked.lanes) as lanes:
        recordings = lanes.record(wanted)
        if asked.record:
            choice.keep_recorded_calls(_actions(recordings))
            return _tell_gaps(_actions(recordings))
        cases, kept = _without_known(_chosen(recordings, asked), asked)
        if asked.list:
            sys.stdout.write("".join(f"{case.id}\n" for case in cases))
            return 0
        _tell(f"{len(cases)} cases of {len(recordings)} command lines, {asked.lanes} at a time")
        tally = Tally(len(cases), choice.known_failures())
        lanes.judge(_mixed(cases), tally.take)
    return _conclude(tally, recordings, asked, kept)


def _scenarios(asked: argparse.Namespace) -> list[Scenario]:
    """The command lines to record."""
    if asked.core:
        return [scenario for scenario in SCENARIOS if scenario.name in choice.gate_scenarios()]
    if asked.since:
        return list(SCENARIOS)
    return [scenario for scenario in SCENARIOS if re.search(asked.scenarios, scenario.name)]


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".ci/faults", description=__doc__)
    parser.add_argument("--core", action="store_true", help="the gate's part: a fixed core, and what ever failed")
    parser.add_argument("--case", metavar="ID", help="repeat one case, and show what it did")
    parser.add_argument("--only", metavar="REGEX", default="", help="run the cases whose id has a match")
    parser.add_argument("--scenarios", metavar="REGEX", default="", help="only scenarios whose name has a match")
    parser.add_argument("--list", action="store_true", help="show the ids, run nothing")
    parser.add_argument("--record", action="store_true", help="keep which calls the clean runs make, run no case")
    parser.add_argument("--write", action="store_true", help="write the part of docs/reliability.md")
    parser.add_argument("--results", type=Path, help="write each case's verdict to this file, as JSON")
    parser.add_argument(
        "--since",
        type=Path,
        metavar="RESULTS",
        help="run what did not hold in the file of --results, what is new, and what --scenarios names",
    )
    parser.add_argument("--lanes", type=int, default=8, help="cases at a time  [default: 8]")
    asked = parser.parse_args(arguments)
    if asked.case:
        asked.lanes = 1
        asked.scenarios = f"^{re.escape(choice.scenario_of(asked.case))}$"
    if not any(re.search(asked.scenarios, scenario.name) for scenario in SCENARIOS):
        parser.error("no such scenario: aws_bootstrap/tests/matrix/scenarios.py has their names")
    return asked


def _chosen(recordings: Sequence[Recording], asked: argparse.Namespace) -> list[Case]:
    if asked.case:
        found = [case for recording in recordings for case in choice.cases_of(recording) if case.id == asked.case]
        if not found:
            raise SystemExit(
                f"no such case any more: {asked.case}; see .ci/faults --list --only '^{recordings[0].scenario.name}:'"
            )
        return found
    if asked.core:
        return _gate_cases(recordings)
    pattern = re.compile(asked.only)
    return [case for case in choice.all_cases(recordings) if pattern.search(case.id)]


def _gate_cases(recordings: Sequence[Recording]) -> list[Case]:
    """The fixed core and every case that ever failed; an error if one of those exists no more."""
    cases = [case for recording in recordings for case in choice.cases_of(recording)]
    failed_once = choice.failed_once()
    lost = failed_once - {case.id for case in cases}
    if lost:
        raise SystemExit(
            "these cases exist no more: put what took their place into failed_cases.txt: " + ", ".join(sorted(lost))
        )
    return choice.without_repetitions([case for case in cases if choice.is_core(case) or case.id in failed_once])


def _without_known(cases: list[Case], asked: argparse.Namespace) -> tuple[list[Case], list[Verdict]]:
    """The cases to run, and the verdicts of the earlier run that stand."""
    if not asked.since:
        return cases, []
    earlier = json.loads(asked.since.read_text())["verdicts"]
    to_run: list[Case] = []
    kept: list[Verdict] = []
    for case in cases:
        seconds, *violations = earlier.get(case.id, [0.0, "not run"])
        is_named = bool(asked.scenarios) and re.search(asked.scenarios, case.scenario.name)
        if violations or is_named:
            to_run.append(case)
        else:
            kept.append(Verdict(case, (), seconds))
    return to_run, kept


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """The cases that wait for timeouts spread over the first half of the others, which need the processor.

    One of them may wait for two minutes: at the end the whole run would wait for it.
    """
    waits = [case.what in _SLOW for case in cases]
    slow = [case for case, is_slow in zip(cases, waits, strict=True) if is_slow]
    quick = [case for case, is_slow in zip(cases, waits, strict=True) if not is_slow]
    every = max(1, len(quick) // max(1, 2 * len(slow)))
    mixed: list[Case] = []
    for number, case in enumerate(quick):
        if number % every == 0 and slow:
            mixed.append(slow.pop(0))
        mixed.append(case)
    return [*mixed, *slow]


def _conclude(tally: Tally, recordings: Sequence[Recording], asked: argparse.Namespace, kept: Sequence[Verdict]) -> int:
    """Tell and write the outcome; the exit code."""
    if asked.case:
        _show(tally.verdicts[0])
    verdicts = [*tally.verdicts, *kept]
    runs = [*_earlier_runs(asked.since), report.Run(reliability.commit(), len(tally.verdicts), round(tally.seconds))]
    if asked.results:
        _keep(asked.results, verdicts, runs)
    if asked.write:
        report.write(verdicts, runs)
    is_whole = not (asked.core or asked.only or asked.scenarios)
    made = _actions(recordings) | {action for verdict in tally.verdicts for action in verdict.actions}
    gaps = _tell_gaps(made) if is_whole else 0
    for verdict in tally.cured:
        _tell(f"{verdict.case.id} holds now: take it out of aws_bootstrap/tests/matrix/known_failures.txt")
    held = sum(not verdict.violations for verdict in tally.verdicts)
    _tell(f"{held} of {len(tally.verdicts)} cases held, in {tally.seconds / 60:.1f} minutes")
    if tally.verdicts:
        slowest = max(tally.verdicts, key=lambda verdict: verdict.seconds)
        _tell(f"the slowest took {slowest.seconds:.0f} s: {slowest.case.id}")
    return 1 if tally.new or tally.cured or gaps else 0


def _earlier_runs(results: Path | None) -> list[report.Run]:
    """The runs that the verdicts of this file came from."""
    if results is None:
        return []
    return [report.Run(**run) for run in json.loads(results.read_text())["runs"]]


def _keep(path: Path, verdicts: Sequence[Verdict], runs: Sequence[report.Run]) -> None:
    """Write each case's verdict to a file, for `--since`."""
    by_id = {verdict.case.id: [round(verdict.seconds, 1), *verdict.violations] for verdict in verdicts}
    whole = {"runs": [asdict(run) for run in runs], "verdicts": by_id}
    path.write_text(json.dumps(whole, indent=1))


def _actions(recordings: Sequence[Recording]) -> set[str]:
    return {call.action for recording in recordings for call in recording.calls}


def _tell_gaps(actions: set[str]) -> int:
    """1 if a command or a call of the code is reached by no scenario; each is told."""
    gaps = [*coverage.commands_without_scenario(), *coverage.calls_never_made(actions)]
    for sentence in gaps:
        _tell(sentence)
    return 1 if gaps else 0


def _show(verdict: Verdict) -> None:
    """Everything that the case did."""
    evidence = verdict.evidence
    if evidence is not None:
        _show_outcomes(evidence)
    _tell(f"{verdict.case.id}: {'; '.join(verdict.violations) or 'held'}")


def _show_outcomes(evidence: Evidence) -> None:
    for outcome in (evidence.outcome, evidence.status, *evidence.way_back):
        _tell(f"$ aws-bootstrap {' '.join(outcome.argv)}\n{outcome.out}{outcome.err}exit code {outcome.code}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
