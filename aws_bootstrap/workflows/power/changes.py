"""The stop or start of several boxes: each on its own, so that one that fails keeps no other from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ...errors import BootstrapError, IncompleteError
from ...models import Instance, RegionReason, StateChange
from ...parallel import run_parallel
from ..box import Box

if TYPE_CHECKING:
    from ...app import App
    from ..unknown import Calls


@dataclass
class BoxChange:
    """The stop or start of one box, as far as it is done. Each result is noted at once: an interrupt can report it."""

    box: Box
    #: The instance as EC2 last reported it.
    instance: Instance
    #: The name of its call, by which it is looked up if no answer comes.
    call: str
    #: What EC2 answered to the call; None while it is not known to have accepted it.
    accepted: StateChange | None = None
    #: Whether nothing is left to do.
    is_done: bool = False
    error: BootstrapError | None = None

    @property
    def name(self) -> str:
        """Return what a person knows the box by."""
        return self.box.alias or self.box.instance_id

    def note_accepted(self, change: StateChange) -> None:
        """Note EC2's answer to the call."""
        self.accepted = change


@dataclass
class Changes:
    """The boxes of one command."""

    app: App
    boxes: list[BoxChange]
    calls: Calls

    def apply(self, change_one: Callable[[BoxChange], None]) -> None:
        """Change the boxes in parallel. The error of one is noted with it."""
        run_parallel([partial(self._noted, change_one, box) for box in self.boxes])

    def _noted(self, change_one: Callable[[BoxChange], None], box: BoxChange) -> None:
        try:
            change_one(box)
            box.is_done = True
        except BootstrapError as exc:
            box.error = exc

    @property
    def failed(self) -> list[BoxChange]:
        """Return the boxes with an error."""
        return [box for box in self.boxes if box.error]

    def may_have_changed(self, box: BoxChange) -> bool:
        """Return whether EC2 accepted the call, or may have."""
        return box.is_done or box.accepted is not None or box.call in self.calls.unknown

    def failure(self, verb: str) -> BootstrapError:
        """Return the error for the boxes that failed: exit code 3 if anything was changed or may have been, else 1."""
        failed = self.failed
        first = failed[0].error
        assert first  # noqa: S101 (`failed` has only boxes with an error)
        error_type: type[BootstrapError] = BootstrapError
        if any(self.may_have_changed(box) for box in self.boxes):
            error_type = IncompleteError
        names = ", ".join(box.name for box in failed)
        error = error_type(f"Could not {verb} {names}: {first}", hint=first.hint, code=first.code)
        return error.add_details(regions=_reasons(failed))


def _reasons(failed: Iterable[BoxChange]) -> tuple[RegionReason, ...]:
    reasons: list[RegionReason] = []
    for box in failed:
        reasons.append(RegionReason(box.box.region, f"{box.name}: {box.error}"))
    return tuple(reasons)


def unknown_hint(changes: Changes, boxes: Sequence[BoxChange], verb: str) -> str | None:
    """Return a sentence on the boxes of which it is unknown whether the call had an effect; None without any."""
    unknown = [box.name for box in boxes if box.call in changes.calls.unknown]
    if not unknown:
        return None
    return f"It is unknown whether {', '.join(unknown)} {verb}: EC2 did not answer."
