"""Snapshots of a running sandbox: a test that needs the same account a thousand times makes it once.

A snapshot holds the EC2 side, and the boxes' disks with their host keys. It lasts as long as the process.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .home import Home
from .state import State


class Snapshots:
    """What was kept, by name. `wipe` empties the sandbox, `boot_again` boots the boxes of a state brought back."""

    def __init__(self, home: Home, state: State, wipe: Callable[[], None], boot_again: Callable[[], None]) -> None:
        self._home = home
        self._state = state
        self._wipe = wipe
        self._boot_again = boot_again
        self._kept: dict[str, bytes] = {}

    def take(self, name: str) -> None:
        """Keep the present state under a name."""
        self._kept[name] = self._state.pickled()
        for folder in (self._home.boxes, self._home.volumes):
            _copy(folder, self._folder(name) / folder.name)

    def restore(self, name: str, *, boot: bool) -> None:
        """Bring a state back, with no fault and no call; boxes of running instances boot if `boot` says so."""
        saved = pickle.loads(self._kept[name])
        self._wipe()
        self._state.take_up(saved)
        _copy(self._folder(name) / self._home.volumes.name, self._home.volumes)
        if boot:
            _copy(self._folder(name) / self._home.boxes.name, self._home.boxes)
            self._boot_again()

    def _folder(self, name: str) -> Path:
        return self._home.root / "snapshots" / name


def _copy(source: Path, target: Path) -> None:
    """Have `target` hold what `source` holds. `cp` copies pipes and modes too, which shutil does not."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if source.is_dir():
        subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
