"""Runs the commands of each step, prints them, and keeps how long each step took and how it ended."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

#: Seconds that a command gets to report what exists, once it was sent SIGTERM.
_TO_REPORT = 90.0
PROGRAM = (sys.executable, "-m", "aws_bootstrap")


class Failed(Exception):
    """A step did not end as it must."""


class Skipped(Exception):
    """A step was left out, for the reason given."""


class Stopped(BaseException):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


@dataclass(frozen=True)
class Step:
    """A step that ended. `result` is `ok`, or begins with `failed`, `skipped` or `stopped`."""

    step: str
    seconds: float
    result: str


@dataclass
class Journal:
    """The steps so far."""

    #: Seconds after which a command is ended.
    limit: float
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print and keep how the block ended, and how long it took. Skipped ends here; all else goes on."""
        say(f"\n== {title}")
        began = time.monotonic()
        result = "ok"
        try:
            yield
        except Skipped as exc:
            result = f"skipped: {exc}"
        except Exception as exc:
            result = f"failed: {exc}"
            raise
        except BaseException as exc:
            result = f"stopped: {exc}"
            raise
        finally:
            seconds = round(time.monotonic() - began, 1)
            self.steps.append(Step(title, seconds, result))
            say(f"   {result}, {seconds} s")

    def program(self, *words: str) -> Any:
        """Run the program; return its document. Raise Failed, after its output, if the exit code is not 0."""
        arguments = (*words, "-o", "json")
        out = self._run(("aws-bootstrap", *arguments), (*PROGRAM, *arguments))
        return json.loads(out)

    def command(self, *words: str) -> str:
        """Run a command; return its stdout. Raise Failed, after its output, if the exit code is not 0."""
        return self._run(words, words)

    def at_terminal(self, *words: str, prompt: str, agree: Callable[[str], bool]) -> None:
        """Run the program at a terminal, and answer its prompt by what it printed before. Raise Failed if it fails."""
        say(f"   $ {shlex.join(('aws-bootstrap', *words))}")
        keyboard, terminal = pty.openpty()
        argv = (*PROGRAM, *words)
        process = subprocess.Popen(argv, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        try:
            printed = _read_until(process, prompt, self.limit)
            if prompt in printed:
                answer = b"n\n"
                if agree(printed):
                    answer = b"y\n"
                os.write(keyboard, answer)
            process.wait(timeout=self.limit)
        except BaseException:
            _end(process)
            raise
        finally:
            os.close(keyboard)
            os.close(terminal)
        if process.returncode != 0 or prompt not in printed:
            out, _ = process.communicate()
            say(printed + out.decode(errors="replace"))
            raise Failed(f"exit code {process.returncode}: {shlex.join(words)}")

    def _run(self, shown: Sequence[str], argv: Sequence[str]) -> str:
        say(f"   $ {shlex.join(shown)}")
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
        try:
            out, err = process.communicate(timeout=self.limit)
        except BaseException:
            out, err = _end(process)
            say(out + err)
            raise
        if process.returncode != 0:
            say(out + err)
            raise Failed(f"exit code {process.returncode}: {shlex.join(shown)}")
        return out


def require(holds: object, message: str) -> None:
    """Raise Failed with the message unless the condition holds."""
    if not holds:
        raise Failed(message)


def say(text: str) -> None:
    """Print at once: a log is read while the run lasts. A closed terminal must not stop the sweep."""
    with suppress(OSError):
        print(text, flush=True)


def table(steps: Sequence[Step]) -> str:
    """Return the steps as a table, with their sum."""
    width = max(len(step.step) for step in steps)
    lines: list[str] = []
    for step in steps:
        lines.append(f"{step.step:<{width}}  {step.seconds:>7.1f} s  {step.result}")
    total = sum(step.seconds for step in steps)
    lines.append(f"{'in all':<{width}}  {total:>7.1f} s")
    return "\n".join(lines)


def documents(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the steps as they are written to the log."""
    return [asdict(step) for step in steps]


def _read_until(process: subprocess.Popen[bytes], prompt: str, limit: float) -> str:
    """Return what the command prints until its prompt, or until it ends. Raise Failed if it is silent for too long."""
    assert process.stdout
    printed = ""
    while prompt not in printed:
        ready, _, _ = select.select([process.stdout], [], [], limit)
        if not ready:
            raise Failed(f"no prompt within {limit:g} s")
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            break
        printed += chunk.decode(errors="replace")
    return printed


def _end(process: subprocess.Popen[Any]) -> tuple[Any, Any]:
    """End the command; return what it printed. It may report first what exists."""
    process.terminate()
    try:
        return process.communicate(timeout=_TO_REPORT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()
