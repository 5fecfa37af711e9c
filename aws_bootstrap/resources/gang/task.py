"""The data script and the job on this node: how they begin, and what has become of them.

A job of torchrun has succeeded when each of its processes has left its marker (marked.py), whatever torchrun's exit
code. Exit code 0 is success too, and so is the file $AWSB_SUCCESS_FILE.
"""

import contextlib
import os
import time
from pathlib import Path

import programs
from markers import Markers
from processes import Processes, adopt_orphans

#: An agent that is stopped together with its processes must hear of its own signal before it judges their exit codes.
SETTLE_SECONDS = 0.3
#: How long torchrun may stay after its processes have succeeded and ended. It waits five minutes for the torchrun of
#: another node, also for one that reports a failure since a process of it was aborted at its exit.
LINGER_SECONDS = 3.0
NAMES = {"data": "data script", "job": "job"}


class Task:
    """What runs on this node. `failure`: what has failed and how, "" while nothing has. `failed_at`: since when."""

    def __init__(self, spec, run):
        """Learn what there is on this node."""
        self.spec = spec
        self.run = run
        self.phase = ""
        self.failure = ""
        self.failed_at = 0.0
        self.ended_at = 0.0
        self.idle_since = 0.0
        self.processes = Processes(spec["end_seconds"])
        self.nproc = programs.processes_per_node(spec)
        self.markers = Markers(run / "marks", self.nproc)
        self.environment = programs.environment(spec, run, self.nproc)
        self.folder = Path(os.path.expanduser(spec["folder"] or str(run)))

    def prepare(self):
        """Remove the marks of an earlier start. Create the folder of the checkpoints."""
        adopt_orphans()
        self.markers.reset()
        remove(self.run / "result.json")
        if self.spec["checkpoint_dir"]:
            Path(self.environment["AWSB_CHECKPOINT_DIR"]).mkdir(parents=True, exist_ok=True)

    def begin(self, phase):
        """Begin the data script or the job."""
        self.phase = phase
        self.ended_at = 0.0
        remove(self.run / "success")
        try:
            self.processes.start(self.words(), self.folder, self.environment, self.has_torchrun())
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
        if not self.phase or self.failure:
            return
        now = time.monotonic()
        if self.has_torchrun():
            self.markers.look()
            if self.markers.all_done() and self.markers.none_is_alive():
                self.idle_since = self.idle_since or now
        if self.processes.returncode is not None:
            self.ended_at = self.ended_at or now
            if not self.has_ended_well() and now >= self.ended_at + SETTLE_SECONDS:
                self.judge()

    def has_torchrun(self):
        """Return whether this phase is run by torchrun."""
        return self.phase == "job" and self.spec["launcher"] == "torchrun"

    def judge(self):
        """Note why the program has failed."""
        since, text = self.ended_at, ""
        if self.phase == "job" and self.markers.failures():
            since, text = self.markers.failures()[0]
        said = f"failed with exit code {self.processes.returncode}: {text}"
        self.fail(said.rstrip(": "), since)

    def has_ended_well(self):
        """Return whether the phase has ended, and well."""
        if self.idle_since and time.monotonic() >= self.idle_since + LINGER_SECONDS:
            return True
        code = self.processes.returncode
        return code is not None and (code == 0 or self.has_succeeded())

    def has_succeeded(self):
        """Return whether the job has, by its own word. Its processes may still run."""
        if self.phase != "job":
            return False
        if (self.run / "success").exists():
            return True
        return self.spec["launcher"] == "torchrun" and self.markers.all_done()

    def fail(self, text, since):
        """Note how the phase has failed."""
        rank = self.spec["nodes"][self.spec["position"]]["rank"]
        self.failure = f"The {NAMES[self.phase]} on node {rank} {text.rstrip('.')}."
        self.failed_at = since


def remove(path):
    """Remove a file, if it exists."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
