"""The data script and the job on this node: how they begin, and what has become of them.

A job of torchrun has succeeded when each of its processes has left its marker (marked.py), whatever torchrun's exit
code. Exit code 0 is success too, and so is the file $AWSB_SUCCESS_FILE.
"""

import contextlib
import json
import os
import time
from pathlib import Path

import programs
from processes import Processes, adopt_orphans

#: An agent that is stopped together with its processes must hear of its own signal before it judges their exit codes.
SETTLE_SECONDS = 0.3
NAMES = {"data": "data script", "job": "job"}


class Task:
    """What runs on this node. `failure`: what has failed and how, "" while nothing has. `failed_at`: since when."""

    def __init__(self, spec, run):
        """Learn what there is on this node."""
        self.spec = spec
        self.run = run
        self.marks = run / "marks"
        self.phase = ""
        self.failure = ""
        self.failed_at = 0.0
        self.ended_at = None
        self.processes = Processes(spec["end_seconds"])
        self.nproc = programs.processes_per_node(spec)
        self.environment = programs.environment(spec, run, self.nproc)
        self.folder = Path(os.path.expanduser(spec["folder"] or str(run)))

    def prepare(self):
        """Remove the marks of an earlier start. Create the folder of the checkpoints."""
        adopt_orphans()
        self.marks.mkdir(exist_ok=True)
        for mark in [*self.marks.iterdir(), self.run / "result.json"]:
            remove(mark)
        if self.spec["checkpoint_dir"]:
            Path(self.environment["AWSB_CHECKPOINT_DIR"]).mkdir(parents=True, exist_ok=True)

    def begin(self, phase):
        """Begin the data script or the job."""
        self.phase = phase
        self.ended_at = None
        remove(self.run / "success")
        try:
            self.processes.start(self.words(), self.folder, self.environment)
        except OSError as error:
            self.processes.returncode = 127
            self.fail(f"was not started: {error}", time.monotonic())

    def words(self):
        """Return the command of the phase. OSError if there is no such program."""
        if self.phase == "data":
            script = self.spec["data_script"]
            return [*programs.plain(script, self.environment), script]
        return programs.words(self.spec, self.run, self.nproc, self.environment)

    def look(self):
        """Take note of what has ended."""
        self.processes.reap()
        if not self.phase or self.failure or self.processes.returncode is None:
            return
        now = time.monotonic()
        self.ended_at = self.ended_at or now
        if not self.has_ended_well() and now >= self.ended_at + SETTLE_SECONDS:
            failures = self.failures() or [[self.ended_at, ""]]
            text = f"failed with exit code {self.processes.returncode}: {failures[0][1]}"
            self.fail(text.rstrip(": "), failures[0][0])

    def has_ended_well(self):
        """Return whether the phase has ended, and well."""
        code = self.processes.returncode
        return code is not None and (code == 0 or self.has_succeeded())

    def has_succeeded(self):
        """Return whether the job has, by its own word. Its processes may still run."""
        if self.phase != "job":
            return False
        if (self.run / "success").exists():
            return True
        if self.spec["launcher"] == "shell":
            return False
        return all((self.marks / f"done.{number}").exists() for number in range(self.nproc))

    def failures(self):
        """Return when and how processes of torchrun have failed, the first one first."""
        found = []
        for path in self.marks.glob("failed.*"):
            with contextlib.suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return sorted(found)

    def fail(self, text, since):
        """Note how the phase has failed."""
        rank = self.spec["nodes"][self.spec["position"]]["rank"]
        self.failure = f"The {NAMES[self.phase]} on node {rank} {text.rstrip('.')}."
        self.failed_at = since


def remove(path):
    """Remove a file, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
