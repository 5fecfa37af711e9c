"""Start a run, list runs, send a log. Sent over ssh, and executed by the box's own Python, 3.8 or newer.

A run is a command under systemd, with a folder ~/.aws-bootstrap/runs/ID: `run.json` (command, start, end, exit code),
`log` (its output and errors), `job.py`, which runs it, and the files that were sent with it. The command finds the
folder as $AWS_BOOTSTRAP_RUN_FOLDER. What it writes to `result.json` there is a part of what is listed of the run.
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

HOME = Path.home()
RUNS = HOME / ".aws-bootstrap/runs"
GUARDIAN = Path("/usr/local/lib/aws-bootstrap/guardian.py")
CHUNK = 65536
LOOK_SECONDS = 0.2
#: The file in the folder of a run that was stopped.
STOPPED = "stopped"
#: How often systemd is queried for a run that may have been killed.
UNIT_SECONDS = 5.0
#: Of a login, and of no use or no longer there when it has ended.
OF_LOGIN = re.compile(r"SSH_.*|XDG_(RUNTIME_DIR|SESSION_.*)|DBUS_.*|BASH_ENV|SHLVL|_|PWD|OLDPWD|TERM")


class Failure(Exception):
    """What is wrong, and its error code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def unit(name):
    """Return the unit of a run: the guardian counts units of this name as work."""
    return f"aws-bootstrap-run-{name}.service"


# --- start -------------------------------------------------------------------------------------------------


def start(spec):
    """Start a run. Return it. `files`: texts by the names of the files that are to be in its folder."""
    systemd_run = shutil.which("systemd-run")
    if systemd_run is None:
        raise Failure("no-systemd", "there is no systemd-run")
    if spec["then"] == "terminate" and not GUARDIAN.exists():
        raise Failure("no-guardian", "there is no guardian, which ends the box after the run")
    folder = Path(os.path.expanduser(spec["folder"] or "~"))
    folder = HOME / folder
    if not folder.is_dir():
        raise Failure("not-found", f"there is no folder {folder}")
    run = create_job(spec["name"]) if spec.get("cluster") else create(spec["name"])
    about = {
        "id": run.name,
        "command": spec["command"],
        "folder": str(folder),
        "then": spec["then"],
        "started": time.time(),
        "ended": None,
        "exit_code": None,
        "cluster": spec.get("cluster"),
    }
    write(run / "run.json", about)
    (run / "log").touch()
    (run / "job.py").write_text(spec["job"])
    for name, text in spec.get("files", {}).items():
        (run / os.path.basename(name)).write_text(text)
    write(run / "environment.json", {**environment(), "AWS_BOOTSTRAP_RUN_FOLDER": str(run)})
    words = ["sudo", "-n", systemd_run, "--quiet", "--collect", f"--unit={unit(run.name)}"]
    words += [f"--uid={os.getuid()}", f"--gid={os.getgid()}", "--service-type=exec", "--property=OOMPolicy=continue"]
    words += [f"--description={spec['command'][:200]}".replace("\n", " ")]
    words += [sys.executable, "-I", str(run / "job.py"), str(run)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(run)
        said = done.stdout.decode(errors="replace").strip()
        raise Failure("no-systemd", f"systemd-run did not start it: {said or done.returncode}")
    if (run / STOPPED).exists():
        stop_unit(run.name)
        raise Failure("stopped", f"the run {run.name} was stopped while it was started")
    return about


def create(name):
    """Create the folder of a run: of this name, or the next number. A name that was used gets a number."""
    RUNS.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1
    for existing in RUNS.iterdir():
        if existing.name.isdigit():
            number = max(number, int(existing.name) + 1)
    if name:
        number = 1
        if (RUNS / name).exists() and state_of(RUNS / name) == "running":
            raise Failure("run-exists", f"a run {name} is running")
    while True:
        folder = RUNS / str(number)
        if name:
            folder = RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1


def create_job(name):
    """Create the folder of a part of a cluster's job. There is one job at a time, since it uses all GPUs of a box."""
    RUNS.mkdir(mode=0o700, parents=True, exist_ok=True)
    for about in runs()["runs"]:
        if about.get("cluster") and about["state"] == "running":
            raise Failure("job-running", f"the job {about['id']} is running")
    try:
        (RUNS / name).mkdir(mode=0o700)
    except FileExistsError:
        raise Failure("run-exists", f"there is a run {name} already, or it was stopped") from None
    return RUNS / name


def environment():
    """Return the variables of this login, whose shell has read its files: ~/venv is on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not OF_LOGIN.fullmatch(name)}
    kept.setdefault("PYTHONUNBUFFERED", "1")  # Python would show its output in a log minutes later
    return kept


def write(path, value):
    """Write a file for this user alone, whole or not at all."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w") as file:
        json.dump(value, file)
    draft.replace(path)


# --- stop --------------------------------------------------------------------------------------------------


def stop(spec):
    """Stop a run, and wait until it has ended. Return it, null if there is none. It does not start later either."""
    if "/" in spec["run"]:
        raise Failure("not-found", f"there is no run {spec['run']}")
    run = RUNS / spec["run"]
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    (run / STOPPED).touch()  # a start that is under way finds it, whichever of the two comes first
    stop_unit(run.name)
    if is_active(run.name):
        raise Failure("failed", f"the run {run.name} goes on")
    about = None
    if (run / "run.json").exists():
        about = read(run)
    return {"run": about, "now": time.time()}


def stop_unit(name):
    """Have systemd stop a run: it sends SIGTERM, after 90 s SIGKILL."""
    words = ["sudo", "-n", shutil.which("systemctl") or "systemctl", "stop", unit(name)]
    nothing = subprocess.DEVNULL
    subprocess.run(words, stdin=nothing, stdout=nothing, stderr=nothing)


# --- list --------------------------------------------------------------------------------------------------


def noted(folder):
    """Return what is noted of a run. One without an exit code is taken to run."""
    about = json.loads((folder / "run.json").read_text())
    about["state"] = "running" if about["exit_code"] is None else "exited"
    about["result"] = result(folder)
    return about


def result(folder):
    """Return what the command has written as its result, None if nothing, or no JSON."""
    try:
        return json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return None


def read(folder):
    """Return what is known of a run."""
    about = noted(folder)
    if about["state"] == "running" and not is_active(folder.name):
        about = noted(folder)  # it may have ended in between
        if about["state"] == "running":
            about["state"] = "lost"
    return about


def state_of(folder):
    """Return `running`, `exited`, or `lost`: it ended without an exit code."""
    try:
        return read(folder)["state"]
    except (OSError, ValueError):
        return "lost"


def is_active(name):
    """Return whether systemd runs it."""
    done = subprocess.run(["systemctl", "is-active", unit(name)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() in (b"active", b"activating", b"deactivating")


def runs():
    """Return all runs, the oldest first."""
    found = []
    if RUNS.is_dir():
        for folder in RUNS.iterdir():
            try:
                found.append(read(folder))
            except (OSError, ValueError):
                continue  # one that is being created, or a folder of somebody else
    return {"runs": sorted(found, key=lambda about: about["started"]), "now": time.time()}


# --- logs --------------------------------------------------------------------------------------------------


def send(header, data=b""):
    """Write a frame."""
    if data:
        header["size"] = len(data)
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + data)
    sys.stdout.buffer.flush()


def logs(spec):
    """Send a log, and with `follow` what is added to it. Return nothing: the frames have it all."""
    if spec["source"] == "guardian":
        return journal(spec)
    folder = None
    path = HOME / ".aws-bootstrap/setup.log"
    if spec["source"] == "run":
        folder = find(spec["run"])
        path = folder / "log"
    if not path.exists():
        raise Failure("not-found", f"there is no log {path}")
    with open(path, "rb") as file:
        offset = spec["offset"]
        if offset is None:
            offset = beginning(file, spec["lines"])
        file.seek(offset)
        send({"id": folder.name if folder else None, "offset": offset})
        end = follow(file, folder, spec["follow"])
    send({"end": end})
    return None


def find(name):
    """Return the folder of a run; without a name that of the newest."""
    if name:
        folder = RUNS / name
        if "/" in name or not (folder / "run.json").exists():
            raise Failure("not-found", f"there is no run {name}")
        return folder
    newest = runs()["runs"]
    if not newest:
        raise Failure("not-found", "there is no run")
    return RUNS / newest[-1]["id"]


def beginning(file, lines):
    """Return where the last so many lines begin; 0 for all of them."""
    if lines is None:
        return 0
    end = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    position = end - 1  # the end of the last line begins no other
    while position > 0:
        start_of_block = max(0, position - CHUNK)
        file.seek(start_of_block)
        block = file.read(position - start_of_block)
        place = block.rfind(b"\n")
        while place >= 0:
            lines -= 1
            if lines == 0:
                return start_of_block + place + 1
            place = block.rfind(b"\n", 0, place)
        position = start_of_block
    return 0


def follow(file, folder, waits):
    """Send the log until its end; with `waits` until its run has ended, or nobody listens. Return the run."""
    looked = time.monotonic()
    while True:
        about = None
        if folder:
            about = noted(folder)
            if not waits or time.monotonic() - looked > UNIT_SECONDS:
                about = read(folder)
                looked = time.monotonic()
        send_rest(file)
        if not waits or (about and about["state"] != "running"):
            return about
        wait()


def send_rest(file):
    """Send what the log has by now."""
    while True:
        data = file.read(CHUNK)
        if not data:
            return
        send({}, data)


def wait():
    """Wait a moment; end this program when nobody listens any more."""
    listener = select.poll()
    listener.register(1, 0)
    if listener.poll(LOOK_SECONDS * 1000):
        sys.exit(1)


def journal(spec):
    """Send the guardian's journal."""
    words = ["journalctl", "--no-pager", "-u", "aws-bootstrap-guardian", "-u", "aws-bootstrap-deadline"]
    words += ["-n", "all" if spec["lines"] is None else str(spec["lines"])]
    if spec["follow"]:
        words.append("-f")
    send({"id": None, "offset": 0})
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    pipe = process.stdout.fileno()  # type: ignore[union-attr]
    listener = select.poll()
    listener.register(1, 0)
    listener.register(pipe, select.POLLIN)
    while True:
        ready = dict(listener.poll())
        if 1 in ready:
            process.kill()
            sys.exit(1)
        data = os.read(pipe, CHUNK)
        if not data:
            break
        send({}, data)
    send({"end": None})
    return None


def main(what, spec):
    """Do one of the four, and print its result as a line."""
    try:
        result = {"start": start, "stop": stop, "list": lambda _: runs(), "logs": logs}[what](spec)
    except Failure as failure:
        result = {"error": {"code": failure.code, "message": str(failure)}}
    except OSError as error:
        result = {"error": {"code": "failed", "message": str(error)}}
    if result is not None:
        send(result)
