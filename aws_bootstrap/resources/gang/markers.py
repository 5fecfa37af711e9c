"""What the processes of torchrun on this node have said of themselves (marked.py): started, done, failed."""

import contextlib
import json
import time

from processes import is_alive


class Markers:
    """The marks of a job, one file for each local rank: `started.0` has a process id, `failed.0` a time and a text."""

    def __init__(self, folder, count):
        """Know of no process yet. `count`: how many there will be."""
        self.folder = folder
        self.count = count
        self.processes = {}
        self.deaths = {}
        self.looked = time.monotonic()

    def reset(self):
        """Remove the marks of an earlier start."""
        self.folder.mkdir(exist_ok=True)
        for mark in self.folder.iterdir():
            mark.unlink()

    def exists(self, name, rank):
        """Return whether a process has left this mark."""
        return (self.folder / f"{name}.{rank}").exists()

    def all_done(self):
        """Return whether the script's body has returned in every process."""
        return all(self.exists("done", rank) for rank in range(self.count))

    def look(self):
        """Take note of processes that have started, and of those that have ended without a word, such as by SIGKILL."""
        before, self.looked = self.looked, time.monotonic()
        for rank in range(self.count):
            if rank not in self.processes:
                with contextlib.suppress(OSError, ValueError):
                    self.processes[rank] = json.loads((self.folder / f"started.{rank}").read_text())
            elif rank not in self.deaths and self.has_died(rank):
                # It was alive at the look before. What its death has done to other processes came later than that.
                self.deaths[rank] = before

    def has_died(self, rank):
        """Return whether a process has ended without a word."""
        if is_alive(self.processes[rank]):
            return False
        return not self.exists("done", rank) and not self.exists("failed", rank)

    def none_is_alive(self):
        """Return whether all processes have started and ended."""
        return len(self.processes) == self.count and not any(map(is_alive, self.processes.values()))

    def failures(self):
        """Return when and how processes have failed, the first one first."""
        found = [(since, f"process {rank} was killed or crashed") for rank, since in self.deaths.items()]
        for path in self.folder.glob("failed.?*"):
            with contextlib.suppress(OSError, ValueError):
                since, text = json.loads(path.read_text())
                found.append((since, text))
        return sorted(found)
