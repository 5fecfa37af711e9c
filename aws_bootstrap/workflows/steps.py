"""Run named steps in order and announce each. A step may run in parallel with the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .. import output
from ..parallel import run_parallel


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
        for step in group:
            number += 1
            title = step.title_for(plan)
            if step is not group[0]:
                title += " (at the same time)"
            output.step(number, len(applicable), title)
        _run(group, state)


def _applicable[P, S](steps: Sequence[Step[P, S]], plan: P) -> list[Step[P, S]]:
    """Return the steps that apply to the plan."""
    return [step for step in steps if step.when(plan)]


def _run[P, S](group: list[Step[P, S]], state: S) -> None:
    """Run the steps of a group in parallel."""
    if len(group) == 1:
        group[0].run(state)
        return
    calls = [partial(step.run, state) for step in group]
    run_parallel(calls)


def _groups[P, S](steps: Sequence[Step[P, S]]) -> list[list[Step[P, S]]]:
    """Return the steps in groups. The groups run in sequence, the steps of a group in parallel."""
    groups: list[list[Step[P, S]]] = []
    for step in steps:
        if step.beside and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
