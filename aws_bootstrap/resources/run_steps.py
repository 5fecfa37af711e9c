#!/usr/bin/env python3
"""Run the steps of the remote setup. Steps that do not depend on each other run at the same time.

Standard library only, Python 3.8 or newer, because it runs on the box before anything is installed there.
A step is setup.d/NN-name.sh. Comment lines at its head say how to run it:

    # title: ...     the name that a person reads
    # needs: a b     run after these, and skip the step if one of them failed ("all": every other step)
    # after: a b     run after these, even if they failed
    # limit: 600     stop the step after so many seconds (default 900)
    # optional: yes  a failure, or a stop at the limit, is only a warning
    # if: FILE       the step exists only if FILE is beside this program

A step fails if its exit status is not 0. It reports details in $STEP_REPORT, one a line, with the functions of lib.sh:
"changed" (or "passed", for a check), "warning TEXT", "note TEXT", "error TEXT", "fact KEY VALUE".

settings.json beside this program has the settings of this run, as in {"python_version": "3.13"}.
~/.aws-bootstrap/settings.json keeps those of all setups, so that a later setup uses them again.

The outcome is written to ~/.aws-bootstrap/setup.json. If SETUP_REPORT is set, the outcome is also printed below a line
with that text: a full disk takes no file, and the file may be from an older run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

TAIL_LINES = 20
LOCK_TIMEOUT_SECONDS = 900
STOP_GRACE_SECONDS = 10
# An incomplete upload is removed after this time. No setup takes that long to begin.
UPLOAD_SECONDS = 2 * 3600
FULL_BYTES = 64 * 1024
RECORD = "record"
SETTINGS = "settings.json"
ENDING = (signal.SIGTERM, signal.SIGINT)
FACTS = ("cuda_version", "cuda_tag", "python", "torch")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclasses.dataclass(frozen=True)
class Step:
    """One script of setup.d, with the settings in its head."""

    name: str
    title: str
    script: Path
    needs: tuple[str, ...]
    after: tuple[str, ...]
    limit: int
    optional: bool
    only_if: str | None


@dataclasses.dataclass(frozen=True)
class Report:
    """The outcome of one step."""

    name: str
    title: str
    outcome: str  # ok, unchanged, warning, failed, skipped
    seconds: float
    message: str | None = None
    tail: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict:
        """Return the step as setup.json shows it."""
        shown = {key: getattr(self, key) for key in ("name", "title", "outcome", "seconds", "message")}
        return {**shown, "tail": list(self.tail)} if self.outcome == "failed" else shown

    def as_text(self) -> str:
        """Return the line (and, after a failure, the end of the output) that a person sees."""
        took = f"done in {self.seconds:.0f} s" + (f" ({self.message})" if self.message else "")
        verdict = {
            "ok": took,
            "unchanged": "unchanged" + (f" ({self.message})" if self.message else ""),
            "warning": f"WARNING: {self.message}",
            "failed": f"FAILED: {self.message}",
            "skipped": f"skipped: {self.message}",
        }[self.outcome]
        return "\n".join([f"    {self.title}: {verdict}", *(f"    | {line}" for line in self.tail)])


class Interrupted(Exception):
    """A signal ended the run."""


# --- Reading the steps -------------------------------------------------------------------------------------------


def read_step(script: Path) -> Step:
    """Return the step that a script's head describes."""
    head = dict(re.findall(r"^# (title|needs|after|limit|optional|if): *(.+?) *$", script.read_text(), re.MULTILINE))
    name = script.stem.split("-", 1)[1]
    return Step(
        name=name,
        title=head.get("title", name),
        script=script,
        needs=tuple(head.get("needs", "").split()),
        after=tuple(head.get("after", "").split()),
        limit=int(head.get("limit", 900)),
        optional=head.get("optional") == "yes",
        only_if=head.get("if"),
    )


def read_steps(folder: Path) -> list[Step]:
    """Return the steps of FOLDER/setup.d that apply, in the order of their numbers."""
    steps = [read_step(script) for script in sorted((folder / "setup.d").glob("[0-9][0-9]-*.sh"))]
    steps = [step for step in steps if step.only_if is None or (folder / step.only_if).exists()]
    names = {step.name for step in steps} | {"all"}
    for step in steps:
        unknown = set(step.needs + step.after) - names
        if unknown:
            raise SystemExit(f"{step.script.name}: unknown step {', '.join(sorted(unknown))}")
    return steps


def awaited(step: Step, steps: list[Step], names: tuple[str, ...]) -> list[str]:
    """Return NAMES with "all" written out as every step but this one."""
    return [other.name for other in steps if other is not step] if "all" in names else list(names)


# --- Running one step --------------------------------------------------------------------------------------------


def read_report(path: Path) -> dict[str, list[str]]:
    """Return the texts in a step's report by the word that begins their line."""
    found: dict[str, list[str]] = {}
    if not path.exists():
        return found
    for line in path.read_text(errors="replace").splitlines():
        word, _, text = line.partition(" ")
        found.setdefault(word, []).append(text.strip())
    return found


def last_lines(path: Path) -> tuple[str, ...]:
    """Return the last lines of a step's output, as a terminal would show them."""
    text = ESCAPES.sub("", path.read_text(errors="replace")) if path.exists() else ""
    lines = [line.split("\r")[-1].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return tuple([line for line in lines if line][-TAIL_LINES:])


def stop(process: subprocess.Popen) -> None:
    """End a step and its processes, first with SIGTERM, then with SIGKILL."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signum)
        try:
            process.wait(STOP_GRACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


class Setup:
    """One run of all steps: the folders, the lock and what is known so far."""

    def __init__(self, folder: Path, home: Path) -> None:
        """Prepare a run of the steps under FOLDER that keeps its state under HOME."""
        self.folder, self.home = folder, home
        self.settings = keep_settings(folder / SETTINGS, home / SETTINGS)
        self.steps = read_steps(folder)
        self.log_folder, self.state_folder = home / "log", home / "state"
        for folder_to_create in (self.log_folder, self.state_folder):
            folder_to_create.mkdir(parents=True, exist_ok=True)
        self.started, self.clock = time.gmtime(), time.monotonic()
        self.done: dict[str, Report] = {}
        self.running: dict[str, subprocess.Popen] = {}
        self.ending = False
        self.unwritten: str | None = None  # the reason why setup.json could not be written

    def environment(self, step: Step, scratch: str) -> dict[str, str]:
        """Return the environment of a step."""
        own = {
            "SETUP_DIR": str(self.folder),
            "STATE_DIR": str(self.state_folder),
            "STEP_NAME": step.name,
            "STEP_TMP": scratch,
            "STEP_REPORT": str(Path(scratch) / "report"),
            "LC_ALL": "C.UTF-8",
        }
        # A version in the environment of this process was given by hand.
        version = os.environ.get("PYTHON_VERSION") or self.settings.get("python_version") or ""
        return {**os.environ, "PYTHON_VERSION": version, **own}

    def execute(self, step: Step, lock: int) -> Report:
        """Run one step to its end or its limit and return its report."""
        began = time.monotonic()
        log = self.log_folder / f"{step.name}.log"
        said: dict[str, list[str]] = {}
        try:
            # Under HOME, not /tmp: a name in /tmp can be taken by another user of the box.
            scratch = tempfile.mkdtemp(prefix="step.", dir=self.home)
        except OSError as error:
            return self.judge(step, said, describe_error(error, self.home), 0.0, log)
        try:
            with log.open("wb") as output:
                process = self.start(step, scratch, output, lock)
            trouble = self.wait_for(process, step)
            said = read_report(Path(scratch) / "report")
        except OSError as error:
            trouble = describe_error(error, log)
        finally:
            self.running.pop(step.name, None)
            remove(Path(scratch))
        return self.judge(step, said, trouble, time.monotonic() - began, log)

    def start(self, step: Step, scratch: str, output: IO[bytes], lock: int) -> subprocess.Popen:
        """Start a step and return its process."""
        process = subprocess.Popen(
            ["bash", str(step.script)],
            cwd=self.folder,
            env=self.environment(step, scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A step that outlives this program (kill -9) keeps the lock, so the next run waits for it. The user's
            # script does not get the lock: a server that it leaves running would hold it for ever.
            pass_fds=() if step.only_if else (lock,),
        )
        self.running[step.name] = process
        return process

    def wait_for(self, process: subprocess.Popen, step: Step) -> str | None:
        """Wait for a step and return the reason of its failure, or None."""
        try:
            status = process.wait(step.limit)
        except subprocess.TimeoutExpired:
            stop(process)
            return f"stopped: not finished after {step.limit} s"
        if self.ending:
            return "interrupted"
        if not status:
            return None
        # The step's own report may not have fitted on the disk either.
        full = shutil.disk_usage(self.home).free < FULL_BYTES
        return f"exit status {status}" + (f"; the disk of {self.home} is full" if full else "")

    def judge(self, step: Step, said: dict[str, list[str]], trouble: str | None, took: float, log: Path) -> Report:
        """Return the report of a step that has ended."""
        seconds = round(took, 1)
        facts = tuple((key, value) for key, _, value in (fact.partition(" ") for fact in said.get("fact", ())))
        warnings = said.get("warning", [])
        notes = said.get("note", [])
        if trouble:
            cause = "; ".join(said.get("error", [])) or trouble
            # An interrupted step could not complete, so its failure is not a mere warning, even if it is optional.
            if self.ending or not step.optional:
                return Report(step.name, step.title, "failed", seconds, cause, last_lines(log), facts)
            warnings = [*warnings, f"{cause}; the next setup tries again; log: ~/.aws-bootstrap/setup.log"]
        message = "; ".join([*warnings, *notes]) or None
        if warnings:
            outcome = "warning"
        elif "changed" in said or "passed" in said:
            outcome = "ok"
        else:
            outcome = "unchanged"
        return Report(step.name, step.title, outcome, seconds, message, (), facts)

    # --- Running all of them -----------------------------------------------------------------------------------------

    def run(self, lock: int) -> str:
        """Run every step and return the outcome: completed or failed."""
        self.write("running")
        pending: dict[Future, Step] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(self.steps))) as pool:
            try:
                while len(self.done) < len(self.steps):
                    self.start_ready(pool, pending, lock)
                    ended, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in ended:
                        pending.pop(future)
                        self.finish(future.result())
            except Interrupted:
                self.ending = True
                for process in list(self.running.values()):
                    stop(process)
                for future in list(pending):
                    self.finish(future.result())
        failed = any(report.outcome == "failed" for report in self.done.values())
        outcome = "failed" if failed or self.ending else "completed"
        self.write(outcome)
        if self.unwritten:
            outcome = "failed"
            self.done[RECORD] = Report(RECORD, "Record of the setup", outcome, 0.0, self.unwritten)
            say(self.done[RECORD].as_text())
        say_report(self.state(outcome))
        return outcome

    def start_ready(self, pool: ThreadPoolExecutor, pending: dict[Future, Step], lock: int) -> None:
        """Start every step that waits for no other, and skip those that need a failed one."""
        for step in self.steps:
            started = step.name in self.done or step in pending.values()
            needs = awaited(step, self.steps, step.needs)
            waits_for = needs + awaited(step, self.steps, step.after)
            if started or any(name not in self.done for name in waits_for):
                continue
            broken = [name for name in needs if self.done[name].outcome in ("failed", "skipped")]
            if broken:
                message = f"it needs {', '.join(broken)}, which did not complete"
                self.finish(Report(step.name, step.title, "skipped", 0.0, message))
                return self.start_ready(pool, pending, lock)
            say(f"==> {step.title}")
            pending[pool.submit(self.execute, step, lock)] = step

    def finish(self, report: Report) -> None:
        """Report a step's outcome on the screen, in the log and in setup.json."""
        self.done[report.name] = report
        say(report.as_text())
        log = self.log_folder / f"{report.name}.log"
        output = ""
        if report.outcome != "skipped" and log.exists():
            output = log.read_text(errors="replace")
        verdict = f"--- {report.name}: {report.outcome}, {report.seconds} s, {report.message or 'no message'}\n"
        # An error here is not lost: `write` fails for the same reason and reports it.
        with contextlib.suppress(OSError), (self.home / "setup.log").open("a", errors="replace") as whole:
            whole.write(f"==> {report.title} [{report.name}]\n{output}{verdict}")
        self.write("running")

    def state(self, outcome: str) -> dict:
        """Return the document of setup.json."""
        names = [*(step.name for step in self.steps), RECORD]
        reports = [self.done[name] for name in names if name in self.done]
        facts = dict(fact for report in reports for fact in report.facts)
        return {
            "schema": 1,
            "outcome": outcome,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", self.started),
            "seconds": round(time.monotonic() - self.clock, 1),
            **{key: facts.get(key) for key in FACTS},
            "failed_step": next((report.name for report in reports if report.outcome == "failed"), None),
            "steps": [report.as_json() for report in reports],
        }

    def write(self, outcome: str) -> None:
        """Write setup.json, whole or not at all."""
        draft, target = self.home / "setup.json.new", self.home / "setup.json"
        try:
            draft.write_text(json.dumps(self.state(outcome), indent=1) + "\n")
            os.replace(draft, target)
            self.unwritten = None
        except OSError as error:
            self.unwritten = describe_error(error, draft)
            # The old file is out of date.
            remove(draft)
            with contextlib.suppress(OSError):
                target.unlink()


def describe_error(error: OSError, path: Path) -> str:
    """Return the error with its file (PATH if the error names none) and a command that helps."""
    text = f"{error.filename or path}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text} (see it with: df -h ~)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{text} (if it belongs to another user: sudo chown -R {getpass.getuser()} ~/.aws-bootstrap)"
    return text


def remove(path: Path) -> None:
    """Remove a file, a link or a folder of the setup. Ignore what cannot be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def put_in_place(uploaded: Path, home: Path) -> Path:
    """Move the uploaded folder to ~/.aws-bootstrap/setup and return that path. Call it with the lock held.

    The previous folder is removed, because a step that this version no longer has must not run. Leftovers of killed
    runs are removed as well.
    """
    place, old = home / "setup", home / "setup.old"
    for left in (old, *home.glob("step.*")):
        remove(left)
    for upload in home.glob("setup.new.*"):
        # A newer one may belong to a setup that waits for the lock.
        if upload != uploaded and time.time() - upload.lstat().st_mtime > UPLOAD_SECONDS:
            remove(upload)
    if uploaded.parent != home or not uploaded.name.startswith("setup.new."):
        return uploaded  # run by hand, from another folder
    if os.path.lexists(place):
        os.rename(place, old)
    os.rename(uploaded, place)
    remove(old)
    return place


def read_settings(path: Path) -> dict[str, str]:
    """Return a file's settings, texts by name. A missing file has none. Values that are no texts are left out."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        say(f"    {path} cannot be read: its settings are not used")
        return {}
    settings = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in settings if isinstance(value, str)}


def keep_settings(given: Path, kept: Path) -> dict[str, str]:
    """Add the settings of this run to those that the box keeps, and return them all."""
    before = read_settings(kept)
    settings = {**before, **read_settings(given)}
    if settings != before:
        draft = kept.with_name(f"{kept.name}.new")
        draft.write_text(json.dumps(settings, indent=1) + "\n")
        os.replace(draft, kept)
    return settings


def say(text: str) -> None:
    """Print whole lines for the person who watches. The connection may be closed already."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError:
        # The connection is closed. The setup continues, and setup.json keeps the outcome.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say_report(state: dict) -> None:
    """Print the outcome as one line of JSON below the mark in SETUP_REPORT, if that is set."""
    mark = os.environ.get("SETUP_REPORT")
    if mark:
        say(f"{mark}\n{json.dumps(state)}")


def refuse(message: str) -> int:
    """Report why no step was run, and return the exit status."""
    report = Report("start", "Start of the setup", "failed", 0.0, message)
    say(report.as_text())
    say_report({"schema": 1, "outcome": "failed", "failed_step": report.name, "steps": [report.as_json()]})
    return 1


def take_lock(path: Path, timeout: float) -> int | None:
    """Return the lock that keeps two setups apart, or None if another setup held it for TIMEOUT seconds."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    ends, reported = time.monotonic() + timeout, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() >= ends:
                return None
        if not reported:
            say("    another setup is running on this box: waiting for it to end")
            reported = True
        time.sleep(0.5)


def interrupt(_signum: int, _frame: object) -> None:
    """Turn a signal into an orderly end, once."""
    for signum in ENDING:
        signal.signal(signum, signal.SIG_IGN)
    raise Interrupted


def run_locked(uploaded: Path, home: Path, lock: int) -> int:
    """Run all steps with the lock held and return the exit status."""
    for signum in ENDING:
        signal.signal(signum, interrupt)
    # The setup completes even if the connection is lost.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = Setup(put_in_place(uploaded, home), home).run(lock)
    except OSError:
        remove(home / "setup.json")  # it describes an older run
        raise
    return 0 if outcome == "completed" else 1


def main(arguments: list[str]) -> int:
    """Run the setup with the files of the folder that the first argument names."""
    home = Path.home() / ".aws-bootstrap"
    timeout = float(os.environ.get("SETUP_LOCK_TIMEOUT", LOCK_TIMEOUT_SECONDS))
    try:
        home.mkdir(exist_ok=True)
        home = home.resolve()  # it may be a link to a larger disk
        home.chmod(0o700)  # the upload created it, and the setup writes a Jupyter token to it
        lock = take_lock(home / "setup.lock", timeout)
        if lock is None:
            return refuse("another setup is still running on this box; log: ~/.aws-bootstrap/setup.log")
        return run_locked(Path(arguments[0]).resolve(), home, lock)
    except Interrupted:
        return refuse("interrupted")
    except OSError as error:
        return refuse(describe_error(error, home))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
