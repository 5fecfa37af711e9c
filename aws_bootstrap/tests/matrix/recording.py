"""What a clean run of a scenario does: its AWS calls, its SSH commands, and the fields that it reads of replies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.matrix.bench import Bench, Watch
from aws_bootstrap.tests.matrix.scenarios import Scenario

Parameters = tuple[tuple[str, str], ...]

_READS = ("Describe", "Get", "List")
_ANY = ".*"
_LONG = 80
_CHANGING = re.compile(
    r"(?P<id>\b(i|vol|sg|sgr|ami|subnet|vpc|eni|snap|sir)-[0-9a-f]{8,17}\b)"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|\+00:00)?"
)
"""Ids, tokens and times: what differs from run to run."""


@dataclass(frozen=True)
class Call:
    """A call that a scenario makes: every one with this action, region and these parameters (regular expressions)."""

    action: str
    region: str
    variant: str
    """What tells it from other calls of the same action there: the filters or parameters that it names."""
    service: str
    match: Parameters
    after_write: bool
    """Whether something had been changed before it in the clean run."""

    @property
    def label(self) -> str:
        """As case ids have it."""
        return f"{self.action}{self.variant}@{self.region}"

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return not self.action.startswith(_READS)

    @property
    def rule(self) -> dict[str, str]:
        """What a fault of the sandbox is to match."""
        return {"action": self.action, "region": self.region, **dict(self.match)}


@dataclass(frozen=True)
class Recording:
    """A clean run."""

    scenario: Scenario
    code: int
    calls: tuple[Call, ...]
    commands: tuple[str, ...]
    """The SSH commands, in order."""
    fields: tuple[tuple[str, str], ...]
    """(action, path) of each field that was read."""


def record(bench: Bench, scenario: Scenario) -> Recording:
    """Run the scenario with nothing in its way. AssertionError if it does not succeed."""
    facts = bench.start_from(scenario.world, boot=scenario.boot)
    _put_background(bench, scenario)
    read = bench.folder / "read.json"
    outcome = bench.run(scenario.command(facts), watch=Watch(record=read))
    if outcome.code != scenario.clean_code:
        raise AssertionError(f"{scenario.name} fails with nothing in its way: {outcome}")
    commands = tuple(visit["command"] for visit in bench.sandbox.visits())
    return Recording(scenario, outcome.code, distinct(bench.sandbox.log()), commands, _fields(read))


def _put_background(bench: Bench, scenario: Scenario) -> None:
    for rule in scenario.background:
        bench.sandbox.fault(**rule)


def _fields(path: Path) -> tuple[tuple[str, str], ...]:
    known = json.loads(path.read_text())
    return tuple((action, field) for action in sorted(known) for field in known[action])


def distinct(log: Iterable[dict[str, Any]]) -> tuple[Call, ...]:
    """The calls of a log, each that differs once."""
    first_seen: dict[tuple[Any, ...], bool] = {}
    written = False
    for entry in log:
        asked = tuple(sorted((name, expression(value)) for name, value in entry["parameters"].items()))
        first_seen.setdefault((entry["action"], entry["region"], entry["service"], asked), written)
        written = written or not entry["action"].startswith(_READS)
    calls: list[Call] = []
    for action, region, service, asked in sorted(first_seen):
        alike = [key[3] for key in sorted(first_seen) if key[:2] == (action, region)]
        match = asked if len(alike) > 1 else ()
        after_write = first_seen[action, region, service, asked]
        calls.append(Call(action, region, _variant(asked, alike), service, match, after_write))
    return tuple(calls)


def _variant(asked: Parameters, alike: list[Parameters]) -> str:
    """A word for a call among those alike: by what it filters or names, and a number where that is not enough."""
    if len(alike) == 1:
        return ""
    word = _word(asked)
    same_word = [other for other in alike if _word(other) == word]
    number = f".{same_word.index(asked) + 1}" if len(same_word) > 1 else ""
    return f"[{word}{number}]"


def _word(asked: Parameters) -> str:
    filters = [value for name, value in asked if re.fullmatch(r"Filter\.\d+\.Name", name)]
    names = [name.partition(".")[0] for name, _ in asked]
    return "+".join(sorted(dict.fromkeys(filters or names))).replace("\\", "")


def expression(value: str) -> str:
    """A regular expression for a parameter's value that fits it in every run."""
    if len(value) > _LONG or not value.isprintable():
        return _ANY
    pieces: list[str] = []
    end = 0
    for found in _CHANGING.finditer(value):
        prefix = f"{found['id'].partition('-')[0]}-" if found["id"] else ""
        pieces += [re.escape(value[end : found.start()]), prefix + _ANY]
        end = found.end()
    return "".join([*pieces, re.escape(value[end:])])
