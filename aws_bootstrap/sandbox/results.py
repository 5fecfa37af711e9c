"""The results of the sandbox's own commands, and their text views."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from ..invocation import PROGRAM
from ..models import Result
from ..models.base import optional
from ..views.text import command, heading, pairs, plural, text


@dataclass(frozen=True)
class SandboxInstance:
    """One instance, in one line."""

    instance_id: str
    region: str
    state: str
    public_ip: str | None


@dataclass(frozen=True)
class SandboxStatus(Result):
    """Whether the sandbox runs, and what it holds. `boxes` is the isolation of the boxes, or `none`."""

    running: bool
    home: str
    instances: tuple[SandboxInstance, ...] = ()
    endpoint: str | None = optional()
    pid: int | None = optional()
    boxes: str | None = optional()
    faults: int | None = optional()
    calls: int | None = optional()

    columns: ClassVar[dict[str, str]] = {
        "instance_id": "Instance",
        "region": "Region",
        "state": "State",
        "public_ip": "Address",
    }


@dataclass(frozen=True)
class SandboxStopped(Result):
    """What `stop` and `reset` did."""

    stopped: bool
    erased: bool
    home: str


@dataclass(frozen=True)
class SandboxEnvironment(Result):
    """The variables that point any tool at the sandbox; null means unset."""

    environment: dict[str, str | None]


@dataclass(frozen=True)
class FaultRule:
    """One active rule; `hits` counts the calls that it affected."""

    match: dict[str, str]
    do: dict[str, Any]
    skip: int
    times: int | None
    hits: int


@dataclass(frozen=True)
class SandboxFaults(Result):
    """The active fault rules, in the order in which they are tried."""

    faults: tuple[FaultRule, ...]

    columns: ClassVar[dict[str, str]] = {
        "match": "Match",
        "do": "Do",
        "skip": "Skip",
        "times": "Times",
        "hits": "Hits",
    }


@dataclass(frozen=True)
class LoggedCall:
    """One AWS call. `time` is in seconds since 1970; `status` is null in flight and after a broken connection."""

    time: float
    service: str
    region: str
    action: str
    parameters: dict[str, str]
    in_flight: int
    fault: dict[str, Any] | None
    status: int | None
    error: str | None
    seconds: float | None


@dataclass(frozen=True)
class SandboxLog(Result):
    """The calls, oldest first."""

    calls: tuple[LoggedCall, ...]

    columns: ClassVar[dict[str, str]] = {
        "time": "Time",
        "service": "Service",
        "region": "Region",
        "action": "Action",
        "status": "Status",
        "error": "Error",
        "seconds": "Seconds",
        "in_flight": "In flight",
    }


@dataclass(frozen=True)
class SandboxInterrupted(Result):
    """A spot instance that is interrupted, `notice` seconds after its notice; or a rebalance is recommended."""

    instance_id: str
    notice: float = 0.0
    rebalance: bool = False


@text.register
def _(status: SandboxStatus) -> str:
    """Return where the sandbox is and what it holds."""
    if not status.running:
        return f"No sandbox is running in {status.home}.\nStart it with: {command(f'{PROGRAM} sandbox start')}"
    facts = [
        ("Endpoint", status.endpoint),
        ("Home", status.home),
        ("Boxes", status.boxes),
        ("Faults", str(status.faults) if status.faults else None),
        ("Calls", str(status.calls)),
    ]
    rows = [_row(one) for one in status.instances]
    use = f"Use it with any AWS tool: {command(f'eval "$({PROGRAM} sandbox env)"')}"
    return "\n".join([heading("The sandbox is running"), *pairs(facts), *rows, use])


def _row(one: SandboxInstance) -> str:
    """Return the line of one instance."""
    return f"  {one.instance_id}  {one.region}  {one.state}  {one.public_ip or ''}".rstrip()


@text.register
def _(stopped: SandboxStopped) -> str:
    """Return what was stopped or erased, and what stays."""
    if stopped.erased:
        return f"Erased {stopped.home}."
    if not stopped.stopped:
        return "No sandbox was running."
    return f"Stopped. Its state stays in {stopped.home}. Erase it: {command(f'{PROGRAM} sandbox reset')}"


@text.register
def _(result: SandboxEnvironment) -> str:
    """Return lines for a POSIX shell to evaluate."""
    lines = []
    for name, value in result.environment.items():
        if value is None:
            lines.append(f"unset {name}")
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join(lines)


@text.register
def _(result: SandboxFaults) -> str:
    """Return one line per rule."""
    if not result.faults:
        return "No active faults."
    rules = [_rule(rule) for rule in result.faults]
    return "\n".join([heading(plural(len(result.faults), "fault")), *rules])


def _rule(rule: FaultRule) -> str:
    """Return the line of one rule."""
    match = " ".join(f"{name}={value}" for name, value in rule.match.items()) or "every call"
    effect = " ".join(f"{name}={value}" for name, value in rule.do.items())
    bounds = []
    if rule.skip:
        bounds.append(f"after {plural(rule.skip, 'call')}")
    if rule.times is not None:
        bounds.append(plural(rule.times, "time"))
    shown = ", ".join([effect, *bounds])
    return f"  {match}: {shown} (hit {plural(rule.hits, 'call')})"


@text.register
def _(result: SandboxLog) -> str:
    """Return one line per call."""
    return "\n".join(_call(call) for call in result.calls) or "No calls yet."


def _call(call: LoggedCall) -> str:
    """Return the line of one call."""
    clock = time.strftime("%H:%M:%S", time.localtime(call.time)) + f"{call.time % 1:.3f}"[1:]
    line = f"{clock}  {call.region:<14} {call.service}:{call.action}  {_outcome(call)}"
    if call.fault:
        line += "  (injected)"
    return line


def _outcome(call: LoggedCall) -> str:
    """Return the outcome of the call: its error, else its status, else why it has none."""
    if call.error:
        return call.error
    if call.status:
        return str(call.status)
    if call.seconds:
        return "connection broken"
    return "in flight"


@text.register
def _(result: SandboxInterrupted) -> str:
    """Return which instance is interrupted, and when."""
    if result.rebalance:
        return f"{result.instance_id} has a rebalance recommendation."
    if result.notice:
        return f"{result.instance_id} has a notice. It is interrupted in {result.notice:g} seconds."
    return f"Interrupted {result.instance_id}."
