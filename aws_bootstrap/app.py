"""What a command is given: the doors to the world, and one way to answer."""

from __future__ import annotations

import select
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from . import config, outcomes, output
from .config import Paths
from .errors import BootstrapError, IncompleteError, UsageError
from .models import Access, Result

if TYPE_CHECKING:
    from .aws import Aws
    from .ssh import Ssh

_LOOK_EVERY = 0.2
"""Seconds after which a wait for the user is woken to look for signals."""


@dataclass
class App:
    """One run of the program. Tests pass their own; `cli` fills in what was asked."""

    profile: str | None = None
    debug: bool = False
    paths: Paths = field(default_factory=Paths)
    failure: BootstrapError | None = None
    """What the result that was shown amounts to, where it is less than was asked for."""
    lookup_seconds: float = 12.0
    """For how long a call whose answer never came is looked up: it may take effect, and show, seconds later."""

    @cached_property
    def aws(self) -> Aws:
        """The door to AWS, opened at its first call."""
        from .aws import Aws

        return Aws(self.profile)

    @cached_property
    def ssh(self) -> Ssh:
        """The door to the boxes."""
        from .ssh import Ssh

        return Ssh(self.paths)

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, as far as it was read."""
        return self.aws.secrets() if "aws" in vars(self) else ()

    @property
    def access(self) -> Access:
        """How printed commands begin."""
        return Access(ssh=shlex.join(["ssh", *self.paths.ssh_flags]), program=config.program())

    def show(self, result: Result) -> None:
        """Show a result. One that is less than was asked for is left to the error door, as `failure`."""
        result = output.with_warnings(result)
        error = outcomes.error_for(result)
        if error:
            self.failure = error.attach_result(result)
            return
        try:
            output.emit(result)
        except OSError as exc:
            raise self._unwritten(result, exc) from exc

    def _unwritten(self, result: Result, cause: OSError) -> BootstrapError:
        """The error for a result that nobody got to read; what it made still exists."""
        kind = IncompleteError if result.resources() else BootstrapError
        error = kind(f"The result could not be written: {cause.strerror or cause}.", code="output-failed")
        return error.add_details(resources=result.resources())

    def require_answer(self, *, yes: bool) -> None:
        """Raise UsageError if a confirmation will be needed that nobody could give: before any work is done."""
        self.require_yes(yes=yes)
        if not yes and not _at_terminal():
            raise UsageError("This needs a confirmation, and there is no terminal to ask at.", hint="Add --yes.")

    def require_yes(self, *, yes: bool) -> None:
        """Raise UsageError where the output is structured, which cannot ask, and there is no --yes."""
        if not yes and not output.is_text():
            raise UsageError("This needs a confirmation, which structured output cannot ask for.", hint="Add --yes.")

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Whether the user agrees. Nobody to ask is a usage error, not a hang."""
        self.require_answer(yes=yes)
        return yes or _asked(question)

    def accept(self, question: Callable[[], str], *, yes: bool) -> bool:
        """Whether to take what was not asked for but may do: scripts and `--yes` do, a person decides.

        Text without a terminal declines, since nobody can answer. The question is put together only to be asked.
        """
        if yes or not output.is_text():
            return True
        return _at_terminal() and _asked(question())


def _at_terminal() -> bool:
    """Whether somebody can answer. Standard input may be closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def _asked(question: str) -> bool:
    """The answer at the terminal. Ctrl-C and Ctrl-D there are interrupts like any other."""
    while True:
        output.prompt(f"{question} [y/N]: ")
        answer = _line()
        if not answer:
            raise KeyboardInterrupt  # Ctrl-D
        word = answer.strip().lower()
        if word in ("y", "yes"):
            return True
        if word in ("", "n", "no"):
            return False
        output.prompt("Answer y or n.\n")


def _line() -> str:
    """A line from the terminal; empty at its end.

    It is read only once it is there: a signal that comes just before a read begins would be acted on after the read
    alone, however long nobody types. So this is not `click.confirm`.
    """
    while not select.select([sys.stdin], [], [], _LOOK_EVERY)[0]:
        pass
    return sys.stdin.readline()
