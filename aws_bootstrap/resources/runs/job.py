"""Run the command of a run: `job.py FOLDER`, as a service of systemd. Its output goes to the log, unchanged.

The guardian and `systemctl stop` send TERM to the command and to this program, which stays until the command has ended,
and notes its exit code.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

GUARDIAN = "/usr/local/lib/aws-bootstrap/guardian.py"
DATA = Path("/data")


def main(folder):
    """Run the command, note its exit code, then do what was requested."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stay)
    about = json.loads((folder / "run.json").read_text())
    with open(folder / "log", "ab", buffering=0) as log:
        about["exit_code"] = run(about, folder, log)
        about["ended"] = time.time()
        write(folder / "run.json", about)
        if about["then"] == "terminate":
            end_box(folder, log)


def stay(number, frame):
    """Ignore a signal. The command does not inherit this."""


def run(about, folder, log):
    """Run the command in bash. Return its exit code, as a shell has it."""
    settings = folder / "environment.json"
    environment = json.loads(settings.read_text())
    settings.unlink()
    words = ["/bin/bash", "--norc", "-c", about["command"]]
    try:
        done = subprocess.Popen(
            words, cwd=about["folder"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    except OSError as error:
        log.write(f"The command was not started: {error}\n".encode())
        return 126
    code = done.wait()
    return 128 - code if code < 0 else code


def write(path, value):
    """Write a file for this user alone, whole or not at all."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def end_box(folder, log):
    """End the box by its guardian, which runs the hooks and unmounts /data. The log is copied to /data before."""
    is_mounted = subprocess.run(["mountpoint", "-q", DATA]).returncode == 0
    if is_mounted and os.access(DATA, os.W_OK):
        kept = DATA / "aws-bootstrap-runs" / time.strftime(f"%Y%m%d-%H%M%S-{folder.name}", time.gmtime())
        try:
            kept.mkdir(parents=True)
            for name in ("run.json", "log"):
                shutil.copyfile(folder / name, kept / name)
        except OSError as error:
            log.write(f"The log was not copied to {kept}: {error}\n".encode())
    limits = json.dumps({"deadline": 1, "reason": "run"})
    words = ["sudo", "-n", "/usr/bin/python3", GUARDIAN, "set", limits]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    if done.returncode:
        log.write(b"The box was not ended: the guardian refused.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
