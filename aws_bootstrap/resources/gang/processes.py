"""The processes of the job on this node: started in a session of their own, and ended with all that came of them.

The workers of torchrun have sessions of their own, and a script may put processes into the background. As a reaper of
orphans (Linux: PR_SET_CHILD_SUBREAPER) the agent stays an ancestor of each of them, whatever their sessions and groups.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
#: How long a process that SIGKILL does not end, since a driver holds it, is waited for.
HELD_SECONDS = 5.0
#: How long a launcher may stay when all that it has launched has ended. torchrun ignores SIGTERM while it waits for the
#: store of its rendezvous: for minutes, if the node that has it is lost.
LAUNCHER_SECONDS = 1.0


def adopt_orphans():
    """Become the parent of every descendant whose own parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """Return the living processes below this one."""
    children: dict = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = parent_of(int(entry))
            children.setdefault(parent, []).append(int(entry))
    found = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def parent_of(process):
    """Return the parent of a living process, 0 for one that has ended."""
    with contextlib.suppress(OSError):
        # The name is in parentheses, and may itself have some.
        state, parent = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        if state not in "ZX":
            return int(parent)
    return 0


def is_alive(process):
    """Return whether a process runs. One that has ended does not, also before its parent takes note of it."""
    return parent_of(process) != 0


class Processes:
    """A program and its descendants. `returncode`: as a shell has it, None while the program runs."""

    def __init__(self, end_seconds):
        """Have no program yet."""
        self.end_seconds = end_seconds
        self.program = None
        self.is_launcher = False
        self.returncode = None
        self.kill_at = None

    def start(self, words, folder, environment, is_launcher=False):
        """Start a program. `is_launcher`: it has no work of its own. OSError if there is none."""
        started = subprocess.Popen(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        self.program, self.returncode, self.kill_at = started.pid, None, None
        self.is_launcher = is_launcher
        started.returncode = 0  # reap() waits for it, like for all others: Popen must not

    def reap(self):
        """Take note of processes that have ended."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            if process == self.program:
                self.program = None
                self.returncode = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def end(self):
        """Begin to end all processes: SIGTERM now, SIGKILL after `end_seconds`."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.end_seconds
            send(signal.SIGTERM, descendants())
            send(signal.SIGCONT, descendants())  # one that is stopped gets no SIGTERM before it goes on

    def have_ended(self):
        """Return whether no process is left. SIGKILL those that are past their time."""
        self.reap()
        left = descendants()
        now = time.monotonic()
        if not left:
            return True
        if self.kill_at is not None and self.is_launcher and left == [self.program]:
            self.kill_at = min(self.kill_at, now + LAUNCHER_SECONDS)
        if self.kill_at is not None and now >= self.kill_at:
            send(signal.SIGKILL, left)
        return self.kill_at is not None and now >= self.kill_at + HELD_SECONDS


def send(number, processes):
    """Send a signal to processes. One that has ended is left alone."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
