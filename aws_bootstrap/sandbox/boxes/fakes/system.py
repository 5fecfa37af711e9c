"""Small programs that print facts of the system."""

from __future__ import annotations

import os

import box


def logname(program: str, arguments: list[str]) -> int:
    """Print the login user: a real box has it from PAM's loginuid, which does not exist here."""
    box.say(os.environ.get("SUDO_USER") or os.environ.get("USER", ""))
    return 0


def hostname(program: str, arguments: list[str]) -> int:
    """Print the box's name, or its private address: a plain box shares the name and addresses of the machine."""
    real = "/usr/bin/hostname"
    if box.HAS_NAMESPACES and os.path.exists(real):
        os.execv(real, [real, *arguments])
    facts = box.facts("machine.json")
    if box.words(arguments):
        return box.complain("hostname: the name of a box of the aws-bootstrap sandbox cannot be changed")
    if set(arguments) & {"-I", "-i", "--all-ip-addresses", "--ip-address"}:
        box.say(facts["private_ip"])
    else:
        box.say(facts["host_name"])
    return 0


def ss(program: str, arguments: list[str]) -> int:
    """List the sockets of the box. The sandbox serves its SSH connections, so that they are never among them."""
    real = "/usr/bin/ss"
    if os.path.exists(real):
        os.execv(real, [real, *arguments])
    return 0
