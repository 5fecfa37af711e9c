"""The account as the sandbox itself tells of it, before and after a command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aws_bootstrap.tests.matrix.worlds import CREATED_BY, KEEP, OURS

_ENDED = ("shutting-down", "terminated")
BILLING = ("instance", "volume", "image")


@dataclass(frozen=True)
class Thing:
    """One instance, volume, image, security group, rule or key pair."""

    raw: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id, or its name where it has no other."""
        return self.raw["id"]

    @property
    def kind(self) -> str:
        """`instance`, `volume`, `image`, `security-group`, `rule` or `key-pair`."""
        return self.raw["type"]

    @property
    def is_ours(self) -> bool:
        """Whether it carries this tool's tag."""
        return self.raw["tags"].get(CREATED_BY) == OURS

    @property
    def is_kept(self) -> bool:
        """Whether it is marked to stay."""
        return KEEP in self.raw["tags"]

    @property
    def is_alive(self) -> bool:
        """Whether it exists: an instance that is ending does not."""
        return self.raw.get("state") not in _ENDED

    @property
    def bills(self) -> bool:
        """Whether it costs money by itself. A root volume goes with its instance."""
        return self.kind in BILLING and self.is_alive and not self.raw.get("root")

    @property
    def attached_to(self) -> str | None:
        """The instance that a volume is attached to."""
        return self.raw.get("attached_to")


@dataclass(frozen=True)
class Account:
    """Everything in it, by (region, type, id)."""

    things: dict[tuple[str, str, str], Thing]

    @classmethod
    def of(cls, inventory: Iterable[dict[str, Any]]) -> Account:
        """The account that the sandbox's inventory tells of."""
        found = [Thing(raw) for raw in inventory]
        return cls({(thing.raw["region"], thing.kind, thing.id): thing for thing in found})

    def __iter__(self) -> Any:
        return iter(self.things.values())

    def find(self, name: str) -> Thing | None:
        """The thing of that id, in whatever region."""
        return next((thing for thing in self if thing.id == name), None)

    def is_alive(self, name: str) -> bool:
        """Whether the thing of that id exists."""
        thing = self.find(name)
        return thing is not None and thing.is_alive

    def new_since(self, before: Account) -> list[Thing]:
        """What was not there before and exists now."""
        return [thing for key, thing in self.things.items() if key not in before.things and thing.is_alive]

    def living_boxes(self) -> set[str]:
        """The ids of our instances that exist."""
        return {thing.id for thing in self if thing.kind == "instance" and thing.is_ours and thing.is_alive}

    def rules(self) -> list[Thing]:
        """The ingress rules."""
        return [thing for thing in self if thing.kind == "rule"]

    def billing(self) -> list[Thing]:
        """What of ours costs money, but for what is kept."""
        return [thing for thing in self if thing.is_ours and thing.bills and not thing.is_kept]
