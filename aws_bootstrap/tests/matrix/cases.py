"""The cases of a scenario: what its clean run did, times what can befall it. Each has an id that repeats it.

SCENARIO:CALL:FAULT          launch:RunInstances@us-west-2:lost
SCENARIO:CALL:SIGNAL         terminate-alias:DeleteVolume@us-west-2:SIGTERM
SCENARIO:ssh-N:FAULT         setup:ssh-1:dropped
SCENARIO:CALL:without-FIELD  status:DescribeInstances@eu-west-1:without-Reservations[].Instances[].LaunchTime
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_bootstrap.tests.matrix import faults
from aws_bootstrap.tests.matrix.recording import Call, Recording
from aws_bootstrap.tests.matrix.scenarios import Scenario


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong at one place of one command."""

    scenario: Scenario
    place: str
    what: str
    call: Call | None = None
    step: int = 0
    """Of an SSH command: how many came before."""

    @property
    def id(self) -> str:
        """As `--case` takes it."""
        return f"{self.scenario.name}:{self.place}:{self.what}"

    @property
    def signal(self) -> str | None:
        """The signal's name, if a signal is what befalls it."""
        return self.what if self.what in faults.SIGNALS else None

    @property
    def dropped_field(self) -> str | None:
        """The path of the field that the reply lacks."""
        return self.what.removeprefix("without-") if self.what.startswith("without-") else None

    @property
    def kind(self) -> str:
        """The column of the report that counts it."""
        if self.dropped_field:
            return "field missing"
        return f"ssh {self.what}" if self.call is None else self.what

    @property
    def is_killed(self) -> bool:
        """Whether the process gets no chance to tell anything."""
        return self.what == "SIGKILL"

    @property
    def heals(self) -> bool:
        """Whether trying again helps, so that the command must reach its goal."""
        if self.call is None:
            return self.what in faults.SSH_HEALS
        return self.what in faults.BY_NAME and faults.BY_NAME[self.what].heals


def cases_of(recording: Recording) -> Iterator[Case]:
    """Every case of a scenario."""
    for call in recording.calls:
        for what in [*_faults(call), *faults.SIGNALS, *_taken_back(recording, call)]:
            yield Case(recording.scenario, call.label, what, call)
        for action, path in recording.fields:
            if action == call.action and not is_required(call.service, action, path):
                yield Case(recording.scenario, call.label, f"without-{path}", call)
    for step, _ in enumerate(recording.commands):
        for what in [*faults.SSH_FAULTS, *faults.SIGNALS, *_taken_back(recording, None)]:
            yield Case(recording.scenario, f"ssh-{step + 1}", what, step=step)


def _faults(call: Call) -> list[str]:
    """The faults that a call can meet. A refusal has no effect, so its loss is a loss before it took effect."""
    effects = ("reset_after", "silent")
    return [f.name for f in faults.FAULTS if not (call.refused and any(name in f.do for name in effects))]


def _taken_back(recording: Recording, call: Call | None) -> list[str]:
    """Taken back, if a new spot instance may be there: in a launch that has changed something."""
    is_launch = recording.scenario.argv[0] == "launch"
    return [faults.TAKEN_BACK] if is_launch and (call is None or call.after_write) else []


_SERVICES = {"servicequotas": "service-quotas"}


@cache
def _model(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(_SERVICES.get(service, service))


@cache
def is_required(service: str, action: str, path: str) -> bool:
    """Whether botocore's shape of the reply says that AWS always sends the field."""
    shape = _model(service).operation_model(action).output_shape
    for step in path.split("."):
        name = step.removesuffix("[]")
        if name not in getattr(shape, "members", {}):
            return True
        if step == path.rpartition(".")[2] and name in shape.required_members:
            return True
        shape = shape.members[name]
        shape = shape.member if step.endswith("[]") else shape
    return False
