"""The invariant: what must hold after every case, whatever went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import ValidationError

from aws_bootstrap.tests import schema_check
from aws_bootstrap.tests.matrix import faults
from aws_bootstrap.tests.matrix.account import Thing
from aws_bootstrap.tests.matrix.bench import FOREIGN_CONFIG, HUNG, Outcome
from aws_bootstrap.tests.matrix.evidence import Evidence, listed_ids, named
from aws_bootstrap.tests.matrix.scenarios import Reached

_ERRORS = Path(__file__).parents[3] / "docs" / "errors.md"
_TOLD_TYPES = ("instance", "volume", "security-group", "key-pair")
"""Kinds of things that an error's `resources` list."""


def violations(evidence: Evidence) -> list[str]:
    """Each promise that the case broke, as a sentence; none if all was kept."""
    promises: tuple[Callable[[Evidence], Iterator[str]], ...] = (
        it_ends,
        it_shows_no_traceback,
        it_writes_exactly_one_document,
        its_exit_code_is_the_contracts,
        what_it_made_is_tagged,
        status_shows_what_bills,
        it_names_what_it_made,
        it_names_what_it_ended,
        the_users_things_are_untouched,
        the_users_config_is_untouched,
        the_users_things_are_not_listed_as_ours,
        the_way_back_leads_back,
    )
    return [broken for promise in promises for broken in promise(evidence)]


# --- what it says --------------------------------------------------------------------------------------------


def it_ends(evidence: Evidence) -> Iterator[str]:
    """No wait is without a bound."""
    for outcome in (evidence.outcome, evidence.status, *evidence.way_back):
        if outcome.code == HUNG:
            yield f"{_line(outcome)} did not end"


def it_shows_no_traceback(evidence: Evidence) -> Iterator[str]:
    """Failures are sentences, and none is a bug of the tool."""
    for outcome in (evidence.outcome, evidence.status, *evidence.way_back):
        if "Traceback (most recent call last)" in outcome.out + outcome.err:
            yield f"{_line(outcome)} shows a traceback: {outcome.err[-300:]}"
        if _error(outcome).get("code") == "internal-error":
            yield f"{_line(outcome)} calls it a bug: {_error(outcome)['message']}"


def it_writes_exactly_one_document(evidence: Evidence) -> Iterator[str]:
    """stdout is one JSON document, as its schema says, with a known error code where it failed."""
    if evidence.case.is_killed or evidence.outcome.code == HUNG:
        return
    document = evidence.outcome.document
    if document is None:
        yield f"stdout is not one document: {evidence.outcome.out[:200]!r}"
        return
    try:
        schema_check.check(evidence.case.scenario.argv, document)
    except ValidationError as problem:
        yield f"the document is not as its schema says: {problem.message}"
    error = _error(evidence.outcome)
    if evidence.outcome.code == 0 and error:
        yield "exit code 0 with an error in the document"
    if evidence.outcome.code != 0 and isinstance(document, dict) and error.get("code") not in known_error_codes():
        yield f"exit code {evidence.outcome.code} without a known error code: {error.get('code')}"


def its_exit_code_is_the_contracts(evidence: Evidence) -> Iterator[str]:
    """0: reached; 1: nothing new bills and nothing was ended; 3: something is left or unknown; a signal's own."""
    case, code = evidence.case, evidence.outcome.code
    if case.signal:
        number = faults.SIGNALS[case.signal]
        expected = -number if case.is_killed else 128 + number
        if code != expected:
            yield f"exit code {code} after {case.signal}, not {expected}"
        return
    if code not in (0, 1, 3):
        yield f"exit code {code}"
    if case.heals and code != 0:
        yield f"exit code {code}, though trying again heals it: {_error(evidence.outcome).get('message')}"
    if code == 0 and not _reached(evidence, evidence.reached):
        yield "exit code 0, but the goal is not reached"
    if code == 1 and (_new_that_bills(evidence) or _ended(evidence)):
        changed = sorted(thing.id for thing in (*_new_that_bills(evidence), *_ended(evidence)))
        yield f"exit code 1, but these were made or ended: {', '.join(changed)}"


def it_names_what_it_made(evidence: Evidence) -> Iterator[str]:
    """What was made and still exists is named in the output; what does not bill only where the command failed."""
    if evidence.case.is_killed:
        return
    failed = evidence.outcome.code != 0
    for thing in evidence.after.new_since(evidence.before):
        told = thing.bills or (failed and thing.kind in _TOLD_TYPES and not thing.raw.get("root"))
        if told and thing.id not in named(evidence):
            yield f"the {thing.kind} {thing.id} exists and is not named"


def it_names_what_it_ended(evidence: Evidence) -> Iterator[str]:
    """Where something was ended, that and what is left of what was to end is named in the output."""
    if evidence.case.is_killed or not _ended(evidence):
        return
    for thing in _targets(evidence):
        if thing.id not in named(evidence):
            left = "exists" if evidence.after.is_alive(thing.id) else "was ended"
            yield f"the {thing.kind} {thing.id} was to end, {left}, and is not named"


# --- the account ---------------------------------------------------------------------------------------------


def what_it_made_is_tagged(evidence: Evidence) -> Iterator[str]:
    """Everything new carries our tag."""
    for thing in evidence.after.new_since(evidence.before):
        is_default_group = thing.raw.get("group_name") == "default"
        if not thing.is_ours and not is_default_group:
            yield f"the {thing.kind} {thing.id} was made without our tag"


def status_shows_what_bills(evidence: Evidence) -> Iterator[str]:
    """`status` succeeds afterwards and shows everything of ours that costs money.

    Images and snapshots are in `costs` and in the lists of their own commands, which find them by the same tag.
    """
    if evidence.status.code != 0:
        yield f"status ends with {evidence.status.code}: {evidence.status.err[-300:]}"
        return
    shown = listed_ids(evidence.status.document)
    for thing in evidence.after:
        if thing.kind in ("image", "snapshot"):
            continue
        if thing.is_ours and thing.bills and thing.id not in shown:
            yield f"status does not show the {thing.kind} {thing.id}"


def the_users_things_are_untouched(evidence: Evidence) -> Iterator[str]:
    """What the user had in the account is as it was."""
    allowed = {evidence.facts[name] for name in evidence.case.scenario.allowed}
    for account in (evidence.after, evidence.final):
        for key, thing in evidence.before.things.items():
            if thing.id in allowed or _is_the_tools(thing):
                continue
            now = account.things.get(key)
            if now is None or now.raw != thing.raw:
                yield f"the user's {thing.kind} {thing.id} was changed: {thing.raw} -> {now and now.raw}"
    brought = evidence.facts.get("brought")
    if brought and not evidence.final.is_alive(brought):
        yield f"the user's volume {brought} is gone"


def the_users_config_is_untouched(evidence: Evidence) -> Iterator[str]:
    """His lines of the SSH config are as they were."""
    for config in (evidence.config_after, evidence.config_final):
        if _without_our_blocks(config) != FOREIGN_CONFIG:
            yield "the user's lines of the SSH config were changed"


def the_users_things_are_not_listed_as_ours(evidence: Evidence) -> Iterator[str]:
    """No document names what is the user's, and no error says that it exists because of the command."""
    foreign = {name: value for name, value in evidence.facts.items() if name.startswith("foreign") or name == "brought"}
    resources = {entry["id"] for entry in _error(evidence.outcome).get("resources", [])}
    told = listed_ids(evidence.outcome.document) | listed_ids(evidence.status.document)
    for name, value in foreign.items():
        if value in resources:
            yield f"error.resources lists the user's {name} {value}"
        if value in told and name not in evidence.case.scenario.allowed:
            yield f"a document lists the user's {name} {value}"


# --- the way back --------------------------------------------------------------------------------------------


def the_way_back_leads_back(evidence: Evidence) -> Iterator[str]:
    """The printed undo and `cleanup` leave nothing of ours; or the command, run again, reaches its goal."""
    if evidence.case.scenario.undone:
        yield from _what_the_undo_leaves(evidence)
    else:
        yield from _what_another_run_lacks(evidence)


def _what_the_undo_leaves(evidence: Evidence) -> Iterator[str]:
    for thing in evidence.final.billing():
        if thing.kind in ("image", "snapshot"):
            continue  # the user's, as the data volumes that he keeps
        yield f"terminate and cleanup leave the {thing.kind} {thing.id}"
    if evidence.final_aliases:
        yield f"terminate and cleanup leave the aliases of {sorted(evidence.final_aliases)}"
    for outcome in evidence.way_back[-1:]:
        if outcome.code != 0:
            yield f"{_line(outcome)} ends with {outcome.code}: {_tail(outcome)}"


def _what_another_run_lacks(evidence: Evidence) -> Iterator[str]:
    again = evidence.way_back[-1]
    if _error(again).get("code") in ("quota-pending", "job-running"):
        return  # the request that was taken, or the job that was started, is what the command wants
    if _error(again).get("code") == "not-found" and not any(
        evidence.final.is_alive(one.id) for one in _targets(evidence)
    ):
        return  # what is gone has no name any more
    if _error(again).get("code") == "mount-failed" and "--format-volume" in _error(again).get("hint", ""):
        return  # whether this volume may be formatted is uncertain, so only its owner may say so
    if again.code != 0:
        yield f"run again it ends with {again.code}: {_tail(again)}"
    elif not _reached(evidence, evidence.reached_again):
        yield "run again it ends with 0, but the goal is not reached"


# --- what the promises are made of ---------------------------------------------------------------------------


def _reached(evidence: Evidence, reached: Reached) -> bool:
    try:
        return evidence.case.scenario.goal(reached)
    except (KeyError, TypeError, AttributeError):
        return False  # the document lacks what the goal looks at


def _new_that_bills(evidence: Evidence) -> list[Thing]:
    return [thing for thing in evidence.after.new_since(evidence.before) if thing.bills]


def _targets(evidence: Evidence) -> list[Thing]:
    ids = {evidence.facts[name] for name in evidence.case.scenario.ends}
    return [thing for thing in evidence.before if thing.id in ids]


def _ended(evidence: Evidence) -> list[Thing]:
    """What was to end and has ended."""
    return [thing for thing in _targets(evidence) if not evidence.after.is_alive(thing.id)]


def _is_the_tools(thing: Thing) -> bool:
    """Whether a command may change it: ours, and not marked to stay. A group of ours may get rules of ours."""
    return thing.is_ours and not thing.is_kept


def _error(outcome: Outcome) -> dict[str, Any]:
    document = outcome.document
    return document.get("error") or {} if isinstance(document, dict) else {}


def _line(outcome: Outcome) -> str:
    return " ".join(outcome.argv)


def _tail(outcome: Outcome) -> str:
    return str(_error(outcome).get("message") or outcome.err[-300:])


_BLOCK = re.compile(rb"# >>> aws-bootstrap \[.*?# <<< aws-bootstrap \[[^\n]*\n?", re.DOTALL)


def _without_our_blocks(config: bytes) -> bytes:
    """The SSH config without our blocks and the empty lines that part them from the user's."""
    return _BLOCK.sub(b"", config)


@cache
def known_error_codes() -> frozenset[str]:
    """The words of docs/errors.md."""
    return frozenset(re.findall(r"^\| `([a-z-]+)`", _ERRORS.read_text(), re.MULTILINE))
