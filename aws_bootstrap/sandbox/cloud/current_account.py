"""The account that the sandbox plays: chosen by name, kept with the state, entered by everything that depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from . import leftovers
from .accounts import PLAIN, Account, change, profile
from .backend import Backends
from .guard import Guard
from .principals import Principals


class CurrentAccount:
    """The account in force. Every method is called with the state's lock held, or before calls come."""

    def __init__(
        self, backends: Backends, guard: Guard, principals: Principals, block_ingress: Callable[[bool], None]
    ) -> None:
        self._backends = backends
        self._world = backends.world
        self._guard = guard
        self._principals = principals
        self._block_ingress = block_ingress
        timing = self._world.timing
        #: The timings of an account that has none of its own.
        self._timings = {"quota_release": timing.quota_release, "first_boot": timing.first_boot}

    def choose(self, name: str | None, settings: Mapping[str, Any]) -> None:
        """Play this account, or the current one with other settings, from now on; what exists stays.

        Raise AccountError, and change nothing, for an unknown profile or setting.
        """
        base = self._world.account
        if name is not None:
            base = profile(name)
        chosen = change(base, settings)
        had_leftovers = self._world.account.leftovers
        self._enter(chosen, time.time())
        self._principals.enter(chosen.people)
        for backend in self._backends.existing().values():
            backend.enter_account(chosen)
        if chosen.leftovers and not had_leftovers:
            leftovers.leave(self._backends)

    def clear(self) -> None:
        """Play the plain account."""
        self.choose(PLAIN, {})

    def _enter(self, chosen: Account, since: float) -> None:
        self._world.account = chosen
        self._world.account_since = since
        for name, seconds in self._timings.items():
            own = getattr(chosen, name)
            setattr(self._world.timing, name, seconds if own is None else own)
        self._guard.enter_account(chosen)
        self._block_ingress(chosen.public_access != "off")

    def saved(self) -> dict[str, Any]:
        """Return what `restore` needs, to be pickled."""
        return {
            "account": self._world.account,
            "since": self._world.account_since,
            "principals": self._principals.saved(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Play a saved account again; its resources come with the state."""
        self._enter(saved["account"], saved["since"])
        self._principals.restore(saved["principals"])

    def facts(self) -> dict[str, Any]:
        """Return the profile's name, the settings that differ from the plain account's, and the principals."""
        chosen = self._world.account
        return {"account": chosen.name, "settings": chosen.settings(), "principals": self._principals.facts()}
