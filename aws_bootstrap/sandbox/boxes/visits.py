"""The commands that came to the boxes by SSH, and what is to befall them: faults of the SSH side.

A fault is `{"kind", "skip", "times"}`. It is in force once `skip` commands have come to any box; `times` bounds how
many logins or commands it hits (absent: all). The kinds:

    refused      nothing listens on the box's SSH port
    mute         the port accepts connections and says nothing
    changed-key  the box shows another host key
    wrong-key    every key is refused
    dropped      the connection breaks when the command has begun
    hanging      the command never says anything and never ends
    flood        the box writes a megabyte of noise on standard error before the command
"""

from __future__ import annotations

import threading
from typing import Any

OF_PORT = ("refused", "mute", "changed-key")
KINDS = (*OF_PORT, "wrong-key", "dropped", "hanging", "flood")
_NO_FAULT: dict[str, Any] = {}


class Visits:
    """The commands so far, oldest first, and the fault in force."""

    def __init__(self) -> None:
        self._commands: list[dict[str, str]] = []
        self._fault = _NO_FAULT
        self._hits = 0
        self._lock = threading.Lock()

    def facts(self) -> list[dict[str, str]]:
        """Each command that came, with the box that it came to."""
        with self._lock:
            return list(self._commands)

    def clear(self) -> None:
        """Forget the commands, and end the fault."""
        with self._lock:
            self._commands.clear()
            self._fault, self._hits = _NO_FAULT, 0

    def plan(self, fault: dict[str, Any]) -> None:
        """Put a fault in force. Raises ValueError for a kind that does not exist."""
        if fault.get("kind") not in KINDS:
            raise ValueError(f"no such kind of SSH fault: {fault.get('kind')}")
        with self._lock:
            self._fault, self._hits = dict(fault), 0

    def begin(self, instance_id: str, command: str) -> str | None:
        """Note a command that came to a box; the kind of fault that befalls it."""
        with self._lock:
            kind = self._in_force()
            self._commands.append({"instance_id": instance_id, "command": command})
            return self._hit(kind, ("dropped", "hanging", "flood"))

    def refuses_key(self) -> bool:
        """Whether the login that is being made is refused."""
        with self._lock:
            return self._hit(self._in_force(), ("wrong-key",)) is not None

    def manner(self) -> str:
        """How the boxes' SSH ports behave now: a kind of `OF_PORT`, or nothing for as they should."""
        with self._lock:
            kind = self._in_force()
            return kind if kind in OF_PORT else ""

    def _in_force(self) -> str:
        started = len(self._commands) >= int(self._fault.get("skip") or 0)
        times = self._fault.get("times")
        used_up = times is not None and self._hits >= int(times)
        return self._fault.get("kind", "") if started and not used_up else ""

    def _hit(self, kind: str, kinds: tuple[str, ...]) -> str | None:
        if kind not in kinds:
            return None
        self._hits += 1
        return kind
