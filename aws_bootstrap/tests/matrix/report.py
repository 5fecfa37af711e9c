"""The matrix' part of docs/reliability.md: what was run and held, by command and by fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aws_bootstrap.tests import reliability
from aws_bootstrap.tests.matrix.lanes import Verdict


@dataclass(frozen=True)
class Run:
    """A run of the matrix or of a part of it."""

    commit: str
    cases: int
    seconds: float


_HEAD = """\
## Fault matrix

Written by `.ci/faults --write`: {cases} cases, {held} held. A case that did not hold was run again after its cure
(`--since`), and so were the cases of commands that had changed:

{runs}

Every AWS call that a command makes (from the sandbox's log of a clean run) met every fault below and every signal,
every SSH command the faults of SSH, and every field that is read of a reply was missing once. Before a command has
changed anything, a call that it makes in several of its forms is tried once. After each case: every resource that
exists is tagged, shown by `status`, and named in the output unless the process was killed; nothing of the user's is
listed as created by this tool, or changed; no traceback; one document; the contract's exit code; the same command
again, or the printed undo and `cleanup`, reaches the goal or a clean account.

*once*: the next attempt is answered. *reset*: the connection breaks before the call takes effect; *lost*: after;
*timeout*: it takes effect and no answer ever comes. `.ci/faults --case ID` repeats a case.
"""


def write(verdicts: Sequence[Verdict], runs: Sequence[Run]) -> None:
    """Put the part into the page. `runs`: those that the verdicts came from, the newest last."""
    held = [verdict for verdict in verdicts if not verdict.violations]
    head = _HEAD.format(cases=len(verdicts), held=len(held), runs="\n".join(map(_line, runs)))
    pieces = [head, "### By command, held/run", _by_command(verdicts), "### By fault, held/run", _by_fault(verdicts)]
    broken = [verdict for verdict in verdicts if verdict.violations]
    if broken:
        pieces += ["### Violated", _violated(broken)]
    reliability.put_part("matrix", "\n\n".join(pieces))


def _line(run: Run) -> str:
    return f"- commit {run.commit}: {run.cases} cases in {run.seconds / 60:.0f} minutes"


def _by_command(verdicts: Sequence[Verdict]) -> str:
    groups = ("AWS faults", "signals", "SSH", "fields missing")
    run = Counter((verdict.case.scenario.name, _group(verdict)) for verdict in verdicts)
    held = Counter((v.case.scenario.name, _group(v)) for v in verdicts if not v.violations)
    lines = {verdict.case.scenario.name: verdict.case.scenario.argv for verdict in verdicts}
    rows = [f"| command | {' | '.join(groups)} |", f"|---{'|---' * len(groups)}|"]
    for name, argv in lines.items():
        cells = [_cell(held[name, group], run[name, group]) for group in groups]
        rows.append(f"| `{' '.join(argv)}` ({name}) | {' | '.join(cells)} |")
    return "\n".join(rows)


def _by_fault(verdicts: Sequence[Verdict]) -> str:
    run = Counter(verdict.case.kind for verdict in verdicts)
    held = Counter(verdict.case.kind for verdict in verdicts if not verdict.violations)
    rows = ["| fault | held/run |", "|---|---|"]
    return "\n".join([*rows, *(f"| {kind} | {_cell(held[kind], run[kind])} |" for kind in run)])


def _violated(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(f"- `{verdict.case.id}`: {verdict.violations[0]}" for verdict in verdicts)


def _group(verdict: Verdict) -> str:
    case = verdict.case
    if case.dropped_field:
        return "fields missing"
    if case.call is None:
        return "SSH"
    return "signals" if case.signal else "AWS faults"


def _cell(held: int, run: int) -> str:
    return f"{held}/{run}" if run else ""
