"""What a command is given: the doors to the world, and one way to answer."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import click

from . import config, output
from .config import Paths
from .errors import UsageError
from .models import Access, Result

if TYPE_CHECKING:
    from .aws import Aws
    from .ssh import Ssh


@dataclass
class App:
    """One run of the program. Tests pass their own; `cli` fills in what was asked."""

    profile: str | None = None
    debug: bool = False
    paths: Paths = field(default_factory=Paths)

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

    @property
    def access(self) -> Access:
        """How printed commands begin."""
        return Access(ssh=shlex.join(["ssh", *self.paths.ssh_flags]), program=config.program())

    def show(self, result: Result) -> None:
        """Show a result; raise its problem if it is less than was asked for."""
        problem = result.problem()
        if problem:
            raise problem.with_result(result)
        output.emit(result)

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Whether the user agrees. Nobody to ask is a usage error, not a hang."""
        if yes:
            return True
        if not output.is_text():
            raise UsageError("This needs a confirmation, which structured output cannot ask for.", hint="Add --yes.")
        if not sys.stdin.isatty():
            raise UsageError("This needs a confirmation, and there is no terminal to ask at.", hint="Add --yes.")
        return click.confirm(question, err=True)

    def accept(self, question: str, *, yes: bool) -> bool:
        """Whether to take what was not asked for but may do: scripts and `--yes` do, a person decides.

        Text without a terminal declines, since nobody can answer.
        """
        if yes or not output.is_text():
            return True
        return sys.stdin.isatty() and click.confirm(question, err=True)
