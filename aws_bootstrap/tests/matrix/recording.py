"""What a clean run of a scenario does: its AWS calls, its SSH commands, and the fields that it reads of replies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.matrix.bench import Bench, Outcome, Watch
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
    refused: bool = False
    """Whether the situation itself refuses it: there is no answer to lose then."""

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
    """Run the scenario with nothing in its way. AssertionError if it does not succeed.

    On a busy machine a box may take longer to boot than the scenario waits: then it is run once more, from the start.
    """
    read = bench.folder / "read.json"
    outcome = _clean_run(bench, scenario, read)
    if outcome.code != scenario.clean_code:
        outcome = _clean_run(bench, scenario, read)
    if outcome.code != scenario.clean_code:
        raise AssertionError(f"{scenario.name} fails with nothing in its way: {outcome}")
    commands = tuple(visit["command"] for visit in bench.sandbox.ssh_commands())
    return Recording(scenario, outcome.code, distinct(bench.sandbox.log()), commands, _fields(read))


def _clean_run(bench: Bench, scenario: Scenario, read: Path) -> Outcome:
    """Run the scenario in its world, as it was made; the fields that it reads go into the file `read`."""
    facts = bench.start_from(scenario.world, boot=scenario.boot)
    _put_background(bench, scenario)
    return bench.run(scenario.command(facts), watch=Watch(record=read))


def _put_background(bench: Bench, scenario: Scenario) -> None:
    for rule in scenario.background:
        bench.sandbox.fault(**rule)


def _fields(path: Path) -> tuple[tuple[str, str], ...]:
    known = json.loads(path.read_text())
    return tuple((action, field) for action in sorted(known) for field in known[action])


@dataclass
class _Seen:
    """The first of the calls that ask the same."""

    asked: Parameters
    after_write: bool
    refused: bool


def distinct(log: Iterable[dict[str, Any]]) -> tuple[Call, ...]:
    """The calls of a log, each that differs once."""
    seen: dict[tuple[str, str, str], dict[Parameters, _Seen]] = {}
    written = False
    for entry in log:
        asked = tuple(sorted((name, expression(value)) for name, value in entry["parameters"].items()))
        alike = seen.setdefault((entry["action"], entry["region"], entry["service"]), {})
        alike.setdefault(asked, _Seen(asked, written, entry["fault"] is not None))
        written = written or not entry["action"].startswith(_READS)
    return tuple(call for key in sorted(seen) for call in _calls(key, seen[key]))


def _calls(key: tuple[str, str, str], alike: dict[Parameters, _Seen]) -> Iterator[Call]:
    """The calls of one action in one region, told apart by what they ask."""
    action, region, service = key
    names = [{name for name, _ in asked} for asked in alike]
    shared, ever = set.intersection(*names), set.union(*names)
    words = {asked: _word(asked, shared) for asked in sorted(alike)}
    for asked, word in words.items():
        variant = ""
        match: Parameters = ()
        if len(alike) > 1:
            same_word = [other for other in words if words[other] == word]
            number = f".{same_word.index(asked) + 1}" if len(same_word) > 1 else ""
            variant = f"[{word}{number}]"
            match = (*asked, *((name, "") for name in sorted(ever - {name for name, _ in asked})))
        yield Call(action, region, variant, service, match, alike[asked].after_write, alike[asked].refused)


def _word(asked: Parameters, shared: set[str]) -> str:
    """What tells a call from those alike: the filters that it has, or the parameters that not all of them have."""
    filters = [value for name, value in asked if re.fullmatch(r"Filter\.\d+\.Name", name)]
    names = [name.partition(".")[0] for name, _ in asked if name not in shared]
    return "+".join(sorted(dict.fromkeys(filters or names))).replace("\\", "") or "plain"


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
