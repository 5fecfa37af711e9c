"""Where the time of `cluster launch` goes: its steps, and how its setups overlap, for each number of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .cluster_rows import FULL, LaunchCost, Scale, launches


def timeline(python: Path, scale: Scale = FULL) -> Iterator[Sequence[str]]:
    """Launch a cluster of each size once. Yield the cells of a table: when each step began, and how long it took."""
    with launches(python, scale) as program:
        costs = [program.run(nodes) for nodes in scale.nodes]
    yield ["step", *(f"{nodes} node{'s' if nodes > 1 else ''}" for nodes in scale.nodes)]
    steps = [_of(cost, "step") for cost in costs]
    for number, step in enumerate(steps[0]):
        yield [step["name"], *(_span(of[number]) for of in steps)]
    setups = [_of(cost, "box") for cost in costs]
    yield ["setups: first to last beginning", *(_from_to(of, 0.0) for of in setups)]
    yield ["setups: first to last end", *(_from_to(of, 1.0) for of in setups)]
    yield ["setups at once", *(str(cost.setups_at_once) for cost in costs)]
    yield ["all", *(f"{cost.seconds:.1f}" for cost in costs)]


def _of(cost: LaunchCost, what: str) -> list[Mapping[str, Any]]:
    return [entry for entry in cost.timings if entry["what"] == what]


def _span(step: Mapping[str, Any]) -> str:
    return f"{step['start']:.1f} + {step['seconds']:.1f}"


def _from_to(entries: Sequence[Mapping[str, Any]], share: float) -> str:
    """Return when the first and the last of these had passed that share of their time."""
    moments = [entry["start"] + share * entry["seconds"] for entry in entries]
    return f"{min(moments):.1f} to {max(moments):.1f}"
