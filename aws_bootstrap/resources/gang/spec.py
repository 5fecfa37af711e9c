"""The two files of a job in its run's folder: spec.json, which the client has written, and result.json."""

import json
import os

#: What a spec may leave out. `folder`: of the code, null for the run's own. `silence_seconds`: after so long a node is
#: taken to be lost. `listen_seconds`: how long the hub tries to listen. `end_seconds`: between SIGTERM and SIGKILL.
#: `exit_seconds`: how long processes whose work is done may take to end.
DEFAULTS = {
    "port": 29399,
    "rendezvous_port": 29400,
    "arguments": [],
    "data_script": None,
    "nproc": "auto",
    "folder": None,
    "checkpoint_dir": None,
    "join_seconds": 120,
    "silence_seconds": 15,
    "listen_seconds": 20,
    "end_seconds": 10,
    "exit_seconds": 60,
}


def read(run):
    """Return the spec."""
    return {**DEFAULTS, **json.loads((run / "spec.json").read_text())}


def write_result(run, result):
    """Write the result, whole or not at all."""
    path = run / "result.json"
    draft = path.with_suffix(".new")
    with open(draft, "w") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
