"""What systemd does for a unit after its start: it starts a service that ended again, and a timer's service in time.

Each runs as a daemon of the box, in one process group with what it starts.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

import services

_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DEFAULT_RESTART = "100ms"


def restart(program: str, arguments: list[str]) -> int:
    """Run a service with Restart=always."""
    name = arguments[0]
    while True:
        unit = services.read_unit(name)
        _run(unit)
        time.sleep(_seconds(unit, "RestartSec", _DEFAULT_RESTART))


def timer(program: str, arguments: list[str]) -> int:
    """Run the service of a timer: first after the shorter of OnBootSec and OnActiveSec, then each OnUnitActiveSec."""
    name = arguments[0]
    timings = services.read_unit(name)
    first = [_seconds(timings, key) for key in ("OnBootSec", "OnActiveSec") if key in timings]
    time.sleep(min(first, default=0))
    while True:
        _run(services.read_unit(services.timed_by(name, timings)))
        if "OnUnitActiveSec" not in timings:
            return 0
        time.sleep(_seconds(timings, "OnUnitActiveSec"))


def _run(unit: dict[str, list[str]]) -> None:
    """Run the unit's program until it ends. One that cannot be run is reported in the unit's journal."""
    environment = services.environment_of(unit)
    try:
        subprocess.run(services.words_of(unit["ExecStart"][-1], environment), env=environment, stdin=subprocess.DEVNULL)
    except OSError as error:
        os.write(2, f"{error}\n".encode())


def _seconds(unit: dict[str, list[str]], name: str, default: str = "") -> float:
    """Return a time span of systemd.time(7), such as `1min 30s`, in seconds."""
    text = unit.get(name, [default])[-1]
    total = 0.0
    for number, word in re.findall(r"([\d.]+)\s*([a-z]*)", text):
        total += float(number) * _UNITS[word]
    return total
