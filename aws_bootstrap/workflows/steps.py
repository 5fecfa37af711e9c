"""Named steps, run in order and announced as they begin; neighbours that do not depend on one another run together."""

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
    """One thing to do: its title and when it applies (both may depend on the plan), and the function that does it."""

    title: str | Callable[[P], str]
    run: Callable[[S], None]
    when: Callable[[P], bool] = _always
    beside: bool = False
    """Whether it runs at the same time as the step before it."""

    def title_for(self, plan: P) -> str:
        """Return its title under this plan."""
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
    """Run the steps that apply, numbered and announced. The first error ends it."""
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
    """Run the steps of a group at the same time."""
    if len(group) == 1:
        group[0].run(state)
        return
    calls = [partial(step.run, state) for step in group]
    run_parallel(calls)


def _groups[P, S](steps: Sequence[Step[P, S]]) -> list[list[Step[P, S]]]:
    """Return the steps in groups that run one after the other."""
    groups: list[list[Step[P, S]]] = []
    for step in steps:
        if step.beside and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
