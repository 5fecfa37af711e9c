"""The background process: started when needed, found by its record, ended by its pid.

Only a process that accepts the home's access key is the home's sandbox. Starting one takes the folder's lock, so two
commands that start at once get one sandbox. A record whose process has ended is left over from a crash, and deleted.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import BootstrapError
from ..invocation import PROGRAM
from . import control_client
from .home import Home, Record, folder_errors

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
_REQUIRED_PACKAGES = ("moto", "asyncssh")
#: The fields of `cloud.world.Timing`, which is too slow to import here.
TIMINGS = (
    "pending",
    "stopping",
    "shutting_down",
    "status_checks",
    "volume_creating",
    "attaching",
    "detaching",
    "forget_terminated",
    "quota_release",
    "first_boot",
)


def ensure_running(home: Home, *options: str) -> int:
    """Return the port of the home's sandbox, started with `options` if it does not respond."""
    found = running(home)
    if found:
        return found.port
    _require_extra()
    home.create()
    with folder_errors(home.root), _lock(home):
        found = running(home) or _start(home, options)
    return found.port


def running(home: Home) -> Record | None:
    """Return the record of the home's sandbox if its process runs and responds, else None."""
    record = home.record()
    if record is None or start_time(record.pid) != record.started:
        return None
    try:
        control_client.request(home, record.port, "ping", timeout=10)
    except (OSError, BootstrapError):
        return None
    return record


def stop(home: Home) -> bool:
    """Stop the home's sandbox; its state stays on disk. Return False if none was running."""
    if not home.is_sandbox():
        return False
    with folder_errors(home.root), _lock(home):
        return _end(home)


def request(home: Home, path: str, body: Any = None, **options: Any) -> Any:
    """Return the response of the home's running sandbox to one control request."""
    record = running(home)
    if record is None:
        raise BootstrapError(
            "The sandbox is not running.", hint=f"Start it with: {PROGRAM} sandbox start", code="not-running"
        )
    return control_client.request(home, record.port, path, body, **options)


def start_time(pid: int) -> str:
    """Return when the process started, which distinguishes it from others with its pid; empty if there is none."""
    try:
        # Field 22 of /proc/PID/stat is the start time in clock ticks (proc(5)); field 2 may hold blanks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if sys.platform == "linux":
            return ""
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def _start(home: Home, options: tuple[str, ...]) -> Record:
    """Return the record of a new sandbox process, once it responds. Delete what a crashed one left."""
    _end(home)
    home.record_file.unlink(missing_ok=True)
    with home.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "aws_bootstrap.sandbox.server", str(home.root), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.root,
            env=_server_environment(home),
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if (record := running(home)) is not None:
            return record
        if child.poll() is not None:
            break
        time.sleep(POLL_SECONDS)
    raise BootstrapError("The sandbox did not start.", hint=f"See its log: {home.log}", code="sandbox-failed")


def _server_environment(home: Home) -> dict[str, str]:
    """Return this environment without the variables that would change the AWS libraries in the server.

    With PYTHONDONTWRITEBYTECODE Python would compile moto at every start, which takes two seconds: the home keeps the
    bytecode then.
    """
    kept = {name: value for name, value in os.environ.items() if _is_harmless(name)}
    if kept.pop("PYTHONDONTWRITEBYTECODE", None):
        kept.setdefault("PYTHONPYCACHEPREFIX", str(home.root / "bytecode"))
    package_parent = str(Path(__file__).resolve().parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [package_parent, kept.get("PYTHONPATH")]))}


def _is_harmless(name: str) -> bool:
    """Return whether the AWS libraries ignore this variable."""
    return name.startswith("AWS_BOOTSTRAP_SANDBOX_") or not name.startswith(("AWS_", "MOTO_"))


def _end(home: Home) -> bool:
    """End the recorded process by SIGTERM, then SIGKILL. Return False if it had ended already."""
    record = home.record()
    if record is None or start_time(record.pid) != record.started:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        if _wait_ended(record):
            break
    home.record_file.unlink(missing_ok=True)
    return True


def _wait_ended(record: Record) -> bool:
    """Return whether the process ends within STOP_SECONDS."""
    deadline = time.monotonic() + STOP_SECONDS
    while start_time(record.pid) == record.started and not _reaped(record.pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _reaped(pid: int) -> bool:
    """Return whether the process was an ended child of this one (in tests the starter outlives the sandbox)."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _require_extra() -> None:
    """Raise BootstrapError if the extra `sandbox` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in _REQUIRED_PACKAGES):
        raise BootstrapError(
            "The sandbox requires packages that are not installed.",
            hint="Install the program with its extra, in its clone: uv tool install --force '.[sandbox]'",
            code="sandbox-missing",
        )


@contextmanager
def _lock(home: Home) -> Iterator[None]:
    """Hold the home's lock, so that one command at a time starts or stops the sandbox."""
    with (home.root / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
