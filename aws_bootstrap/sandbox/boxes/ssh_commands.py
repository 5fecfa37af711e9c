"""The commands that the boxes received by SSH, and SSH faults.

A fault is `{"fault", "skip", "times"}`. It is active after `skip` commands to any box; `times` limits how many logins
or commands it affects (absent: all). The faults:

    refused      nothing listens on the box's SSH port
    unreachable  connection attempts to the port time out
    mute         the port accepts connections and sends nothing
    changed-key  the box presents another host key
    wrong-key    every key is rejected
    dropped      the connection breaks when the command has started
    hanging      the command prints nothing and never ends
    flood        the box writes a megabyte of noise on standard error before the command
"""

from __future__ import annotations

import threading
from typing import Any

UNREACHABLE = "unreachable"
PORT_FAULTS = ("refused", UNREACHABLE, "mute", "changed-key")
COMMAND_FAULTS = ("dropped", "hanging", "flood")
WRONG_KEY = "wrong-key"
FAULTS = (*PORT_FAULTS, WRONG_KEY, *COMMAND_FAULTS)
_NO_FAULT: dict[str, Any] = {}


class SshCommands:
    """The commands so far, oldest first, and the SSH fault."""

    def __init__(self) -> None:
        self._commands: list[dict[str, str]] = []
        self._fault = _NO_FAULT
        self._hits = 0
        #: Whether the account blocks public access: no port is reachable then.
        self.is_ingress_blocked = False
        self._lock = threading.Lock()

    def facts(self) -> list[dict[str, str]]:
        """Return each received command, with the instance id of its box."""
        with self._lock:
            return list(self._commands)

    def clear(self) -> None:
        """Clear the commands, and remove the fault."""
        with self._lock:
            self._commands.clear()
            self._fault, self._hits = _NO_FAULT, 0

    def set_fault(self, fault: dict[str, Any]) -> None:
        """Set the fault. Raise ValueError for an unknown one."""
        if fault.get("fault") not in FAULTS:
            raise ValueError(f"unknown SSH fault: {fault.get('fault')}")
        with self._lock:
            self._fault, self._hits = dict(fault), 0

    def begin(self, instance_id: str, command: str) -> str | None:
        """Log a command that a box received; return the fault to apply to it, or None."""
        with self._lock:
            active = self._active_fault()
            self._commands.append({"instance_id": instance_id, "command": command})
            if active not in COMMAND_FAULTS:
                return None
            self._hits += 1
            return active

    def rejects_key(self) -> bool:
        """Return whether the current login is rejected."""
        with self._lock:
            if self._active_fault() != WRONG_KEY:
                return False
            self._hits += 1
            return True

    def port_fault(self) -> str:
        """Return the active fault of the boxes' SSH ports, one of PORT_FAULTS; empty if there is none."""
        if self.is_ingress_blocked:
            return UNREACHABLE
        with self._lock:
            active = self._active_fault()
        if active in PORT_FAULTS:
            return active
        return ""

    def _active_fault(self) -> str:
        """Return the active fault; empty before `skip` commands and after `times` hits."""
        if len(self._commands) < int(self._fault.get("skip") or 0):
            return ""
        times = self._fault.get("times")
        if times is not None and self._hits >= int(times):
            return ""
        return self._fault.get("fault", "")
