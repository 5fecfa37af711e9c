"""Small programs that print facts of the system."""

from __future__ import annotations

import os

import box


def logname(program: str, arguments: list[str]) -> int:
    """Print the login user: a real box has it from PAM's loginuid, which does not exist here."""
    box.say(os.environ.get("SUDO_USER") or os.environ.get("USER", ""))
    return 0
