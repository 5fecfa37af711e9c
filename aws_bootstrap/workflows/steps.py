"""Run named steps in order and announce each. A step may run in parallel with the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .. import output, timings
from ..parallel import run_parallel

if TYPE_CHECKING:
    from ..live_steps import LiveStep


def _always(_: object) -> bool:
    """Return True: for a step that applies to every plan."""
    return True


@dataclass(frozen=True)
class Step[P, S]:
    """A step: its title, its function, and when it applies. Title and condition may depend on the plan."""

    title: str | Callable[[P], str]
    run: Callable[[S], None]
    when: Callable[[P], bool] = _always
    #: Whether it runs in parallel with the step before it.
    beside: bool = False

    def title_for(self, plan: P) -> str:
        """Return the title of the step in this plan."""
        if isinstance(self.title, str):
            return self.title
        return self.title(plan)


def titles[P, S](steps: Sequence[Step[P, S]], plan: P) -> tuple[str, ...]:
    """Return the titles of the steps that apply, in order."""
    found: list[str] = []
    for step in _applicable(steps, plan):
        found.append(step.title_for(plan))
    return tuple(found)


def run_steps[P, S](steps: Sequence[Step[P, S]], plan: P, state: S) -> None:
    """Run the steps that apply and announce each with its number. The first error stops the run."""
    applicable = _applicable(steps, plan)
    number = 0
    for group in _groups(applicable):
        calls: list[Callable[[], None]] = []
        for step in group:
            number += 1
            title = step.title_for(plan)
            begun = output.step(number, len(applicable), title, beside=step is not group[0])
            calls.append(partial(_run_step, step, title, begun, state))
        if len(calls) == 1:
            calls[0]()
        else:
            run_parallel(calls)


def _applicable[P, S](steps: Sequence[Step[P, S]], plan: P) -> list[Step[P, S]]:
    """Return the steps that apply to the plan."""
    return [step for step in steps if step.when(plan)]


def _run_step[P, S](step: Step[P, S], title: str, begun: LiveStep | None, state: S) -> None:
    """Run one step, show its outcome, and record how long it takes under its title."""
    with output.within(begun), timings.measured("step", title):
        step.run(state)


def _groups[P, S](steps: Sequence[Step[P, S]]) -> list[list[Step[P, S]]]:
    """Return the steps in groups. The groups run in sequence, the steps of a group in parallel."""
    groups: list[list[Step[P, S]]] = []
    for step in steps:
        if step.beside and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
