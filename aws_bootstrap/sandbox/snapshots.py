"""Snapshots of a running sandbox: a test that needs the same account a thousand times makes it once.

A snapshot holds the EC2 side, and the boxes' disks with their host keys. It lasts as long as the process.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .home import Home

if TYPE_CHECKING:
    from .server import Sandbox


class Snapshots:
    """What was kept, by name."""

    def __init__(self, home: Home, sandbox: Sandbox) -> None:
        self._home, self._sandbox = home, sandbox
        self._kept: dict[str, bytes] = {}

    def take(self, name: str) -> None:
        """Keeps the present state under a name."""
        self._kept[name] = self._sandbox.state.pickled()
        for folder in (self._home.boxes, self._home.volumes):
            _copy(folder, self._folder(name) / folder.name)

    def restore(self, name: str, *, boot: bool) -> None:
        """Brings a state back, with no fault and no call; boxes of running instances boot if `boot` says so."""
        saved = pickle.loads(self._kept[name])
        self._sandbox.wipe()
        with self._sandbox.lock:
            self._sandbox.state.take_up(saved)
        _copy(self._folder(name) / self._home.volumes.name, self._home.volumes)
        if boot:
            _copy(self._folder(name) / self._home.boxes.name, self._home.boxes)
            self._sandbox.boot_again()

    def _folder(self, name: str) -> Path:
        return self._home.root / "snapshots" / name


def _copy(source: Path, target: Path) -> None:
    """Has `target` hold what `source` holds. `cp` copies pipes and modes too, which shutil does not."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if source.is_dir():
        subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
