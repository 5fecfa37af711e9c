"""What the box does now. A probe returns what keeps the box busy, "" if nothing. One that fails counts as busy."""

import fcntl
import json
import os
import re
import subprocess
import time
from pathlib import Path

import ending
import peers

#: From here on the box is busy: percent of a GPU, cores, bytes of SSH a second.
GPU_PERCENT = float(os.environ.get("GUARDIAN_GPU", "5"))
CORES = float(os.environ.get("GUARDIAN_CORES", "0.25"))
SSH_BYTES = float(os.environ.get("GUARDIAN_SSH", "4096"))
SSH_PORT = os.environ.get("GUARDIAN_SSH_PORT", "22")
MARKER = Path("/run/aws-bootstrap/keep-busy")
HOME = Path(ending.USER.pw_dir)

#: What a probe saw at the last look, by its name.
_before: dict = {}


def look():
    """Return what each probe says."""
    found = {}
    for name, probe in PROBES.items():
        try:
            found[name] = probe()
        except Exception as error:  # whatever it is: an unknown state is no idleness
            found[name] = f"failed: {type(error).__name__}: {error}"
    return found


def output_of(*words):
    """Return the standard output of a program. It must end well, and soon."""
    return subprocess.run(words, check=True, timeout=15, stdout=subprocess.PIPE, text=True).stdout


def rate(name, number):
    """Return by how much the number grew each second since the last look; 0 at the first one."""
    now = time.monotonic()
    before, seen = _before.get(name, (now, number))
    _before[name] = (now, number)
    return max(0, number - seen) / max(now - before, 1e-3)


def changed(name, value):
    """Return whether the value is another than at the last look."""
    seen = _before.get(name, value)
    _before[name] = value
    return value != seen


def gpu():
    """Ask the driver how many percent of the time each GPU worked."""
    try:
        text = output_of("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    except FileNotFoundError:
        return ""  # an image without a driver cannot use a GPU
    busiest = max(int(percent) for percent in text.split())
    return f"{busiest} %" if busiest >= GPU_PERCENT else ""


def cpu():
    """Read the time of all processes, which the root control group counts."""
    text = Path("/sys/fs/cgroup/cpu.stat").read_text()
    cores = rate("cpu", int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6)
    return f"{cores:.1f} cores" if cores >= CORES else ""


def ssh():
    """Count the bytes of the SSH connections in both directions, and look for keys pressed in a terminal."""
    text = output_of("ss", "-tinH", "state", "established", f"( sport = :{SSH_PORT} )")
    moved = rate("ssh", sum(int(count) for count in re.findall(r"bytes_(?:sent|received):(\d+)", text)))
    if moved >= SSH_BYTES:
        return f"{moved / 1024:.0f} KiB/s"
    read_at = {terminal.name: terminal.stat().st_atime for terminal in Path("/dev/pts").glob("[0-9]*")}
    return "input in a terminal" if changed("terminals", read_at) else ""


def jupyter():
    """Ask Jupyter for the state of each kernel."""
    from http.client import HTTPConnection  # as in limits.request

    settings = HOME / ".aws-bootstrap/jupyter.env"
    if not settings.exists():
        return ""
    token = ""
    for line in settings.read_text().splitlines():
        if line.startswith("JUPYTER_TOKEN="):
            token = line.partition("=")[2]
    connection = HTTPConnection("127.0.0.1", 8888, timeout=10)
    try:
        headers = {"Authorization": f"token {token}"}
        connection.request("GET", "/api/kernels?no_track_activity=1", headers=headers)
        kernels = json.load(connection.getresponse())
    except ConnectionRefusedError:
        return ""  # Jupyter does not run
    finally:
        connection.close()
    busy = [kernel["name"] for kernel in kernels if kernel["execution_state"] == "busy"]
    return f"{len(busy)} busy" if busy else ""


def jobs():
    """List the detached jobs that systemd runs."""
    words = ["list-units", "aws-bootstrap-run-*", "--state=active,activating", "--no-legend", "--plain"]
    listed = output_of("systemctl", *words)
    return ", ".join(line.split()[0] for line in listed.splitlines())


def setup():
    """Try the lock that a running setup holds."""
    lock = HOME / ".aws-bootstrap/setup.lock"
    if not lock.exists():
        return ""
    with open(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "runs"
    return ""


def marker():
    """Look whether somebody said `aws-bootstrap keep-busy`."""
    return "keep-busy" if changed("marker", MARKER.stat().st_mtime) else ""


def has_work(found):
    """Return whether one of the probes found work on this box itself."""
    return any(text for name, text in found.items() if name != "peers")


PROBES = {"gpu": gpu, "cpu": cpu, "ssh": ssh, "jupyter": jupyter, "jobs": jobs, "setup": setup, "marker": marker}
PROBES["peers"] = peers.heard
