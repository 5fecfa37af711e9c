"""The most that a process has had at the same time of what the system counts: threads, open files, processes below it.

They are read from /proc, and stay 0 where there is none.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field

_EVERY_SECONDS = 0.05


@dataclass
class Peaks:
    """What was seen so far of the process that is watched."""

    threads: int = 0
    open_files: int = 0
    processes: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self, pid: int) -> None:
        """Look at the process some times a second, until `stop`."""
        threading.Thread(target=self._look_on, args=(f"/proc/{pid}",), daemon=True).start()

    def stop(self) -> None:
        """Look no longer."""
        self._ended.set()

    def _look_on(self, folder: str) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            with contextlib.suppress(OSError):  # it has ended
                self._look(folder)

    def _look(self, folder: str) -> None:
        tasks = os.listdir(f"{folder}/task")
        self.threads = max(self.threads, len(tasks))
        self.open_files = max(self.open_files, len(os.listdir(f"{folder}/fd")))
        children = sum(_children(f"{folder}/task/{task}/children") for task in tasks)
        self.processes = max(self.processes, children)


def _children(path: str) -> int:
    """Return how many processes a thread has started that run."""
    try:
        with open(path) as file:
            return len(file.read().split())
    except OSError:
        return 0
