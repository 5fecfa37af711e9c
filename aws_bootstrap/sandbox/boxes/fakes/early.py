"""What systemd runs before the network is up: the units of sysinit.target, one after another."""

from __future__ import annotations

import subprocess

import box
import services


def boot(program: str, arguments: list[str]) -> int:
    """Run the units whose conditions hold; return the highest status."""
    status = 0
    for link in sorted(box.place(services.EARLY_WANTS).glob("*.service")):
        unit = services.read_unit(link.stem)
        if all(box.place(path).exists() for path in unit.get("ConditionPathExists", [])):
            for command in unit["ExecStart"]:
                status = max(status, _run(command))
    return status


def _run(command: str) -> int:
    """Run the script by sudo, which maps the paths in its text into the tree of a plain box."""
    script = box.place(services.words_of(command, {})[0]).read_text()
    return subprocess.run(["sudo", "-n", "bash", "-c", script]).returncode
