"""A process that tries slips: reads one task a line, runs its tests, writes how they ended.

Run from the copy of the tree that it may change: `python WORKER COPY`. Most slips are tried in a fork of a process
that has collected every test (`hot.py`): that costs the tests' own time alone. A slip in what runs while a module is
imported is tried in a fork that has loaded the libraries alone, and imports our package with the slip in it.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

COPY = Path(sys.argv[1])
SANDBOX = COPY.parent / f"{COPY.name}.sandbox.{os.getpid()}"
_numbers = itertools.count()
"""Of the runs' folders. Each run has its own: what a run left behind may still write into the last one."""
SURVIVED, KILLED, TIMEOUT, TOO_SLOW, NO_TESTS = "survived", "killed", "timeout", "too-slow", "no-tests"
COLD = "cold"


def load() -> None:
    """Load what is slow to load and is not ours."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
    sys.path.insert(0, str(COPY))
    os.chdir(COPY)
    os.environ |= {
        "PYTHONPATH": str(COPY),
        "MOTO_AMIS_PATH": str(COPY / "aws_bootstrap" / "tests" / "images.json"),
        "MUTANTS_SANDBOX": str(SANDBOX),
    }
    import asyncssh  # noqa: F401
    import botocore.loaders
    import hypothesis  # noqa: F401
    import jsonschema  # noqa: F401
    import moto.ec2  # noqa: F401
    import pytest  # noqa: F401

    read = functools.cache(botocore.loaders.JSONFileLoader.load_file)
    botocore.loaders.JSONFileLoader.load_file = read  # type: ignore[method-assign]
    import boto3

    for service in ("ec2", "service-quotas", "pricing", "sts"):
        boto3.Session().client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    assert "aws_bootstrap" not in sys.modules


def start_sandbox() -> None:
    """Start the sandbox that this worker's runs share, with the code as it is."""
    script = "import sys; from pathlib import Path; from aws_bootstrap.sandbox.testing import Sandbox; "
    script += "Sandbox(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(SANDBOX)], check=True)


def run_tests(tests: list[str], folder: Path) -> int:
    """Run in a forked process: pytest's exit code. What it says goes to a file."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    import pytest

    from aws_bootstrap.tests.mutants.chosen import Chosen

    files = sorted({test.partition("::")[0] for test in tests})
    chosen = Chosen(tests)
    words = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", "--tb=line", f"--basetemp={folder}/base"]
    code = pytest.main([*words, *files], plugins=[chosen])
    (folder / "failed").write_text(chosen.failed)
    return int(code)


def attempt(tests: list[str], seconds: float) -> tuple[str, str]:
    """How a run of the tests ended that imports everything anew, and the first test that failed."""
    folder = fresh_folder()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setsid()
            code = run_tests(tests, folder)
        finally:
            os._exit(code)
    return ended(child, seconds, folder)


def fresh_folder() -> Path:
    """A new folder for the next run."""
    folder = COPY.parent / f"{COPY.name}.tmp.{os.getpid()}.{next(_numbers)}"
    folder.mkdir()
    return folder


def ended(child: int, seconds: float, folder: Path) -> tuple[str, str]:
    """How the forked run ended, and the first test that failed."""
    status = _waited(child, time.monotonic() + seconds)
    failed = folder / "failed"
    by = failed.read_text() if failed.exists() else ""
    shutil.rmtree(folder, ignore_errors=True)  # a sandbox whose folder is gone ends by itself
    if status is None:
        return TIMEOUT, by
    return {0: SURVIVED, 5: NO_TESTS, 7: COLD}.get(os.waitstatus_to_exitcode(status), KILLED), by


class HotRuns:
    """The process that has collected every test, and forks for each task."""

    def __init__(self) -> None:
        tasks, to_server = os.pipe()
        from_server, answers = os.pipe()
        if os.fork() == 0:
            os.close(to_server)
            os.close(from_server)
            self._serve(tasks, answers)
        os.close(tasks)
        os.close(answers)
        self.tasks = os.fdopen(to_server, "w")
        self.answers = os.fdopen(from_server)

    def _serve(self, tasks: int, answers: int) -> None:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(os.open(f"{COPY}.hot", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(1, 2)
        import pytest

        from aws_bootstrap.tests.mutants import hot

        words = ["-q", "-n0", "-p", "no:cacheprovider", "--no-header", "--tb=line", "aws_bootstrap/tests"]
        pytest.main(words, plugins=[hot.Hot(tasks, answers, ended)])
        os._exit(0)

    def attempt(self, task: dict, before: bytes, *, changed: bool = True) -> tuple[str, str]:
        """As `attempt`; COLD where the slip is one that needs a fresh import. `before`: the file without it."""
        path = COPY / task["path"]
        whole = {
            "tests": task["tests"],
            "timeout": task["timeout"],
            "folder": str(fresh_folder()),
            "path": str(path),
            "before": before.hex(),
            "changed": task["source"] if changed and path.suffix == ".py" else None,
        }
        self.tasks.write(json.dumps(whole) + "\n")
        self.tasks.flush()
        status, by = json.loads(self.answers.readline())
        return status, by


def _waited(child: int, until: float) -> int | None:
    """The child's status; None if it had to be ended."""
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            _end(child)
            return status
        time.sleep(0.02)
    _end(child)
    os.waitpid(child, 0)
    return None


def _end(session: int) -> None:
    """End what the run left behind."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return


def _serve() -> None:
    load()
    start_sandbox()
    hot = HotRuns()
    stamp = int(time.time()) - 10_000_000
    for line in sys.stdin:
        task = json.loads(line)
        path = COPY / task["path"]
        before = path.read_bytes()
        stamp += 1  # cached bytecode is told from another by whole seconds and size
        began = time.monotonic()
        status, by = COLD, ""
        try:
            path.write_bytes(bytes.fromhex(task["source"]))
            os.utime(path, (stamp, stamp))
            if not task["at_import"]:
                status, by = hot.attempt(task, before)
            if status == COLD:
                status, by = attempt(task["tests"], task["timeout"])
        finally:
            stamp += 1
            path.write_bytes(before)
            os.utime(path, (stamp, stamp))
        # A hang is noticed only if the tests end in that time without the slip: the machine may be busy.
        if status == TIMEOUT and hot.attempt(task, before, changed=False)[0] != SURVIVED:
            status = TOO_SLOW
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({"id": task["id"], "status": status, "by": by, "seconds": seconds}), flush=True)
    shutil.rmtree(SANDBOX, ignore_errors=True)


if __name__ == "__main__":
    _serve()
