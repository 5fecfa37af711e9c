"""Named steps, run in order and told as they go; neighbours that do not need one another run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from .. import output
from ..aws import together

P = TypeVar("P")
S = TypeVar("S")


@dataclass(frozen=True)
class Step[P, S]:
    """One thing to do: what to call it and when it applies (both from the plan), and the doing of it."""

    title: Callable[[P], str]
    run: Callable[[S], None]
    when: Callable[[P], bool] = lambda _: True
    beside: bool = False
    """Whether it runs at the same time as the step before it."""


def titles[P, S](steps: Sequence[Step[P, S]], plan: P) -> tuple[str, ...]:
    """What would be done, in order."""
    return tuple(step.title(plan) for step in steps if step.when(plan))


def run_steps[P, S](steps: Sequence[Step[P, S]], plan: P, state: S) -> None:
    """Run the steps that apply, numbered and announced. The first error ends it."""
    wanted = [step for step in steps if step.when(plan)]
    numbers = count(1)
    for group in _groups(wanted):
        for step in group:
            suffix = " (at the same time)" if step is not group[0] else ""
            output.step(next(numbers), len(wanted), step.title(plan) + suffix)
        _run(group, state)


def _run[P, S](group: list[Step[P, S]], state: S) -> None:
    if len(group) == 1:
        group[0].run(state)
    else:
        together(*(lambda s=step: s.run(state) for step in group))


def _groups[P, S](steps: Sequence[Step[P, S]]) -> list[list[Step[P, S]]]:
    groups: list[list[Step[P, S]]] = []
    for step in steps:
        if step.beside and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
