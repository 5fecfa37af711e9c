"""The guardian of a box as user data: the program that ends a box at its limits, and the limits themselves.

Its files are in `resources/guardian/`. docs/guardian.md describes what they do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from .cloud_init import File, Part
from .models.cost import USD_PER_GB_MONTH

_RESOURCES = files("aws_bootstrap") / "resources" / "guardian"
_FOLDER = "/usr/local/lib/aws-bootstrap"
_PROGRAM = ("/usr/bin/python3", f"{_FOLDER}/guardian.py")
_UNITS = {
    "guardian.service": "aws-bootstrap-guardian.service",
    "deadline.service": "aws-bootstrap-deadline.service",
    "deadline.timer": "aws-bootstrap-deadline.timer",
}
_MODULES = ("guardian.py", "limits.py", "ending.py", "probes.py", "peers.py")


@dataclass(frozen=True)
class Limits:
    """What ends a box by itself. Seconds; None where nothing does."""

    #: From the first boot until the deadline.
    deadline: float | None = None
    idle_timeout: float | None = None
    #: Why the box has a deadline: `deadline` (--ttl) or `cost-cap` (--max-cost).
    reason: str = "deadline"


def part(limits: Limits, *, user: str, ssh_port: int) -> Part:
    """Return the part of the user data that installs the guardian and sets its limits. `user` is the login user."""
    settings = f"GUARDIAN_USER={user}\nGUARDIAN_SSH_PORT={ssh_port}\nGUARDIAN_GB_MONTH={USD_PER_GB_MONTH['gp3']}\n"
    written = [
        File("/etc/aws-bootstrap/guardian.env", settings),
        File("/usr/local/bin/aws-bootstrap", _text("aws-bootstrap"), mode="0755"),
    ]
    for name in _MODULES:
        written.append(File(f"{_FOLDER}/{name}", _text(name)))
    for name, unit in _UNITS.items():
        written.append(File(f"/etc/systemd/system/{unit}", _text(name)))
    changes = {"deadline": limits.deadline, "idle_timeout": limits.idle_timeout, "reason": limits.reason}
    return Part(
        files=tuple(written),
        commands=(
            (*_PROGRAM, "set", json.dumps(changes)),
            ("systemctl", "daemon-reload"),
            ("systemctl", "enable", "--now", _UNITS["guardian.service"], _UNITS["deadline.timer"]),
        ),
    )


def change_command(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words that change the limits on a box, and print them there."""
    return ("sudo", "-n", *_PROGRAM, "set", json.dumps(changes))


def _text(name: str) -> str:
    return (_RESOURCES / name).read_text()
