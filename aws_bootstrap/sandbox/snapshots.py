"""Snapshots of a running sandbox: a test that needs the same account a thousand times creates it once.

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
    """The snapshots, by name. `wipe` empties the sandbox, `resume` boots the boxes of a restored state."""

    def __init__(self, home: Home, state: State, wipe: Callable[[], None], resume: Callable[[], None]) -> None:
        self._home = home
        self._state = state
        self._wipe = wipe
        self._resume = resume
        self._snapshots: dict[str, bytes] = {}

    def take(self, name: str) -> None:
        """Save the current state under a name."""
        self._snapshots[name] = self._state.pickled()
        for folder in (self._home.boxes, self._home.volumes, self._home.images):
            _copy(folder, self._folder(name) / folder.name)

    def restore(self, name: str, *, boot: bool) -> None:
        """Restore a snapshot, with no faults and an empty log; boxes of running instances boot if `boot` is true."""
        saved = pickle.loads(self._snapshots[name])
        self._wipe()
        self._state.restore(saved)
        for folder in (self._home.volumes, self._home.images):
            _copy(self._folder(name) / folder.name, folder)
        if boot:
            _copy(self._folder(name) / self._home.boxes.name, self._home.boxes)
            self._resume()

    def _folder(self, name: str) -> Path:
        """Return the folder with the snapshot's disks."""
        return self._home.root / "snapshots" / name


def _copy(source: Path, target: Path) -> None:
    """Replace `target` by a copy of `source`. `cp` copies pipes and modes too, which shutil does not."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if source.is_dir():
        subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
