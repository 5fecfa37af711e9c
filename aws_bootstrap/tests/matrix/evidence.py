"""Runs one case and gathers what the invariant is judged by."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.retry import poll
from aws_bootstrap.tests.matrix import faults
from aws_bootstrap.tests.matrix.account import Account
from aws_bootstrap.tests.matrix.bench import Bench, Outcome, Watch
from aws_bootstrap.tests.matrix.cases import Case
from aws_bootstrap.tests.matrix.scenarios import Reached
from aws_bootstrap.tests.matrix.worlds import Facts

HELD_WITHIN = 30.0
"""Seconds in which a command must have come to the call that a signal is to meet."""
_UNDO = re.compile(r"terminate (i-[0-9a-f]{17}) --region ([a-z0-9-]+)")


@dataclass(frozen=True)
class Evidence:
    """What a case did: accounts, outputs and SSH configs before it, after it, and after the way back."""

    case: Case
    facts: Facts
    before: Account
    outcome: Outcome
    after: Account
    aliases: frozenset[str]
    config_before: bytes
    config_after: bytes
    status: Outcome
    way_back: tuple[Outcome, ...]
    final: Account
    final_aliases: frozenset[str]
    config_final: bytes
    actions: frozenset[str] = frozenset()
    """Every action that was called, on the way back too."""

    @property
    def reached(self) -> Reached:
        """What the goal is judged by."""
        return Reached(self.facts, self.after, self.outcome.document, self.aliases)

    @property
    def reached_again(self) -> Reached:
        """The same after the command was run again."""
        return Reached(self.facts, self.final, self.way_back[-1].document, self.final_aliases)


def gather(bench: Bench, case: Case) -> Evidence:
    """Run the case in the bench, then `status`, then the way back."""
    scenario = case.scenario
    facts = bench.start_from(scenario.world, boot=scenario.boot)
    before, config_before = account_of(bench), bench.ssh_config.read_bytes()
    outcome = _run(bench, case, facts)
    bench.sandbox.clear_faults()
    bench.sandbox.clear_ssh_fault()
    after, config_after = account_of(bench), bench.ssh_config.read_bytes()
    aliases = _aliases(config_after)
    status = bench.run(["status", "-o", "json"])
    way_back = _undo(bench, outcome, before) if scenario.undone else (bench.run(scenario.command(facts)),)
    config_final = bench.ssh_config.read_bytes()
    return Evidence(
        case,
        facts,
        before,
        outcome,
        after,
        aliases,
        config_before,
        config_after,
        status,
        way_back,
        account_of(bench),
        _aliases(config_final),
        config_final,
        frozenset(entry["action"] for entry in bench.sandbox.log()),
    )


def account_of(bench: Bench) -> Account:
    """The account now."""
    return Account.of(bench.sandbox.inventory())


def _aliases(config: bytes) -> frozenset[str]:
    """The ids of the instances that have a block of ours."""
    text = config.decode(errors="surrogateescape")
    return frozenset(host.instance_id for host in sshconfig.hosts(text))


# --- the case ------------------------------------------------------------------------------------------------


def _run(bench: Bench, case: Case, facts: Facts) -> Outcome:
    """Run the command under the case's fault, which comes before those of the situation."""
    fault = _rule(case)
    for rule in ([fault] if fault else []) + list(case.scenario.background):
        bench.sandbox.fault(**rule)
    command = case.scenario.command(facts)
    if case.call is None:
        return _run_ssh_case(bench, case, command, set(facts.values()))
    if case.signal or case.what == faults.TAKEN_BACK:
        return bench.run(command, meanwhile=partial(_while_held, bench, case, set(facts.values())))
    if case.dropped_field:
        drop = {"action": case.call.action, "region": case.call.region, "path": case.dropped_field}
        return bench.run(command, watch=Watch(drop=drop))
    return bench.run(command)


def _rule(case: Case) -> dict[str, Any] | None:
    """The fault rule of the case, as `Sandbox.fault` takes it."""
    if case.call is None or case.dropped_field:
        return None
    if case.signal or case.what == faults.TAKEN_BACK:
        return {"match": case.call.rule, "do": {"hold": True}, "times": 1}
    fault = faults.BY_NAME[case.what]
    return {"match": case.call.rule, "do": fault.effect(case.call.service), "times": fault.times}


def _while_held(bench: Bench, case: Case, known: set[str], pid: int) -> None:
    """Do what befalls the command while the call is under way; it takes effect all the same."""
    bench.sandbox.wait_held(HELD_WITHIN)
    _befall(bench, case, known, pid)
    bench.sandbox.release()


def _befall(bench: Bench, case: Case, known: set[str], pid: int) -> None:
    if case.signal:
        _send(pid, faults.SIGNALS[case.signal])
        return
    for box in account_of(bench).living_boxes() - known:
        with contextlib.suppress(BootstrapError):  # no spot instance
            bench.sandbox.interrupt(box)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        if number in faults.TO_THE_GROUP:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _run_ssh_case(bench: Bench, case: Case, command: list[str], known: set[str]) -> Outcome:
    if case.what not in faults.SSH_FAULTS:
        bench.sandbox.ssh_fault("hanging", skip=case.step)
        return bench.run(command, meanwhile=partial(_while_hanging, bench, case, known))
    kind, times = faults.SSH_FAULTS[case.what]
    bench.sandbox.ssh_fault(kind, skip=case.step, times=times)
    return bench.run(command)


def _while_hanging(bench: Bench, case: Case, known: set[str], pid: int) -> None:
    """Do what befalls the command while the SSH command is under way."""
    poll(lambda: len(bench.sandbox.ssh_commands()) > case.step or None, timeout=HELD_WITHIN, every=0.05)
    _befall(bench, case, known, pid)


# --- the way back --------------------------------------------------------------------------------------------


def _undo(bench: Bench, outcome: Outcome, before: Account) -> tuple[Outcome, ...]:
    """End what there is: by the printed command where one was printed, by ids otherwise; then clean up."""
    done: list[Outcome] = []
    printed = _UNDO.search(outcome.out + outcome.err)
    if printed:
        done.append(bench.run(["terminate", printed[1], "--region", printed[2], "--yes", "-o", "json"]))
    living = sorted(account_of(bench).living_boxes())
    if living:
        done.append(bench.run(["terminate", *living, "--yes", "-o", "json"]))
    if account_of(bench).billing() or _aliases(bench.ssh_config.read_bytes()):
        done.append(bench.run(["cleanup", "--include-ebs", "--yes", "-o", "json"]))
    return tuple(done)


def named(evidence: Evidence) -> str:
    """Everything that the command told."""
    return evidence.outcome.out + evidence.outcome.err


def listed_ids(value: Any) -> set[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        return {text for inner in value.values() for text in listed_ids(inner)}
    if isinstance(value, list):
        return {text for inner in value for text in listed_ids(inner)}
    return {value} if isinstance(value, str) else set()
