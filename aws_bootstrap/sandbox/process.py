"""The background process: started when needed, found again by its record, ended by its pid.

Only a process that answers with our access key is ours. Whoever starts one holds the folder's lock, so two
commands that begin at once get one sandbox; a record whose process is gone is a crash, and is cleared away.
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
from . import control
from .home import Home, Record

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
_NEEDED = ("moto", "asyncssh")
TIMINGS = (
    "pending",
    "stopping",
    "shutting_down",
    "status_checks",
    "volume_creating",
    "attaching",
    "detaching",
    "forget_terminated",
)
"""The fields of `cloud.world.Timing`, which is not to be imported here."""


def ensure_running(home: Home, *options: str) -> int:
    """The port of the home's sandbox, which is started with `options` if it does not answer."""
    found = running(home)
    if found:
        return found.port
    _require_extra()
    home.make()
    with _lock(home):
        found = running(home) or _start(home, options)
    return found.port


def running(home: Home) -> Record | None:
    """The record of the home's sandbox if that process lives and answers."""
    record = home.record()
    if record is None or birth(record.pid) != record.started:
        return None
    try:
        control.ask(home, record.port, "ping", timeout=10)
    except (OSError, BootstrapError):
        return None
    return record


def stop(home: Home) -> bool:
    """Ends the home's sandbox, whose state stays on disk; False when none ran."""
    if not home.is_ours():
        return False
    with _lock(home):
        return _end(home)


def ask(home: Home, path: str, body: Any = None, **options: Any) -> Any:
    """The answer of the home's running sandbox to one control call."""
    record = running(home)
    if record is None:
        raise BootstrapError(
            "The sandbox is not running.", hint="Start it with: aws-bootstrap sandbox start", code="not-running"
        )
    return control.ask(home, record.port, path, body, **options)


def birth(pid: int) -> str:
    """A text that tells this process from any other that had or gets its pid; empty when there is none."""
    try:
        # Field 22 of /proc/PID/stat is the start time in clock ticks (proc(5)); field 2 may hold blanks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if sys.platform == "linux":
            return ""
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def _start(home: Home, options: tuple[str, ...]) -> Record:
    """A fresh sandbox process, once it answers. Clears away what a crashed one left."""
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
    raise BootstrapError("The sandbox did not start.", hint=f"Its last words are in {home.log}", code="sandbox-failed")


def _server_environment(home: Home) -> dict[str, str]:
    """Our environment, less what would change how the AWS libraries behave in the server.

    Where Python is told to keep no bytecode it compiles moto at every start, which takes two seconds: it keeps it
    in the home then.
    """
    kept = {name: value for name, value in os.environ.items() if _harmless(name)}
    if kept.pop("PYTHONDONTWRITEBYTECODE", None):
        kept.setdefault("PYTHONPYCACHEPREFIX", str(home.root / "bytecode"))
    package_parent = str(Path(__file__).resolve().parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [package_parent, kept.get("PYTHONPATH")]))}


def _harmless(name: str) -> bool:
    return name.startswith("AWS_BOOTSTRAP_SANDBOX_") or not name.startswith(("AWS_", "MOTO_"))


def _end(home: Home) -> bool:
    """Ends the recorded process, kindly and then not; False when it was gone."""
    record = home.record()
    if record is None or birth(record.pid) != record.started:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        if _gone(record):
            break
    home.record_file.unlink(missing_ok=True)
    return True


def _gone(record: Record) -> bool:
    """Whether the process ended within the time that a clean end may take."""
    deadline = time.monotonic() + STOP_SECONDS
    while birth(record.pid) == record.started and not _reaped(record.pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _reaped(pid: int) -> bool:
    """Whether the process was a dead child of ours (in tests the starter outlives the sandbox)."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _require_extra() -> None:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise BootstrapError(
            "The sandbox needs libraries that are not installed.",
            hint="Install them with: pip install 'aws-bootstrap-g4dn[sandbox]'",
            code="sandbox-missing",
        )


@contextmanager
def _lock(home: Home) -> Iterator[None]:
    """Holds the home's lock, so that one command at a time starts or stops the sandbox."""
    with (home.root / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
