"""What a command is given: access to AWS, SSH and the terminal, and one way to show its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from . import output, timings
from .console import Console, OutputFormat
from .errors import BootstrapError, IncompleteError, UsageError
from .invocation import Invocation

if TYPE_CHECKING:
    from .aws import Aws
    from .keys import LocalKeys
    from .models import Result
    from .paths import Paths
    from .settings import Settings
    from .ssh import Ssh


def _my_address() -> str:
    """Return this machine's public address, as AWS's own service reports it."""
    from .address import my_address

    return my_address()


class App:
    """What one run of the program is given. Tests pass their own; `cli` sets the global options.

    What a command uses is loaded then: the help pages and a shell's completion use little.
    """

    def __init__(self, *, profile: str | None = None, paths: Paths | None = None) -> None:
        self.profile = profile
        #: The region of a config file: below the environment's, above that of the profile.
        self.region: str | None = None
        self.debug = False
        #: Whether the command line or the environment chooses the format: then no config file does.
        self.has_format = False
        self.console = Console()
        if paths is not None:
            self.paths = paths
        #: Return this machine's public address; BootstrapError if it cannot be determined.
        self.my_address: Callable[[], str] = _my_address
        #: The error that a partial result amounts to; `cli.Group.main` raises it.
        self.failure: BootstrapError | None = None
        #: Secrets of a box that were read, such as Jupyter's token.
        self.hidden: list[str] = []
        #: How long to look up a call whose answer never came: it may take effect, and show, seconds later.
        self.lookup_seconds = 12.0

    @cached_property
    def paths(self) -> Paths:
        """Return the files this tool reads and writes."""
        from .paths import Paths

        return Paths()

    @cached_property
    def aws(self) -> Aws:
        """Return access to AWS, set up at its first call."""
        from .aws import Aws

        return Aws(self.profile, region=self.region)

    @cached_property
    def settings(self) -> Settings:
        """Return the config files in force, read at the first call. UsageError if one cannot be used."""
        from .settings import load

        return load(self.paths)

    @cached_property
    def keys(self) -> LocalKeys:
        """Return access to the SSH key pairs of this machine."""
        from . import ssh
        from .keys import LocalKeys

        return LocalKeys(agent_keys=partial(ssh.agent_keys, self.paths.ssh_flags))

    @cached_property
    def ssh(self) -> Ssh:
        """Return access to the boxes."""
        from .ssh import Ssh

        return Ssh(self.paths)

    def begin(self, output_format: OutputFormat | None = None) -> None:
        """Become the app of a command that begins now: its console is the one that everything writes to.

        Without a format it is text, unless a config file has another one.
        """
        self.failure = None
        self.has_format = output_format is not None
        vars(self).pop("settings", None)
        timings.record(None)
        self.console.invocation = self.invocation
        self.console.secrets = self.secrets
        self.console.begin(output_format or OutputFormat.TEXT)
        output.use(self.console)

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown, as far as it was read."""
        if "aws" not in vars(self):
            return tuple(self.hidden)
        return (*self.aws.secrets(), *self.hidden)

    def invocation(self) -> Invocation:
        """Return how printed commands begin for this user."""
        import shlex

        from .paths import program

        ssh = shlex.join(["ssh", *self.paths.ssh_flags])
        command = program()
        if self.profile:
            command += f" --profile {shlex.quote(self.profile)}"
        return Invocation(program=command, ssh=ssh, profile=self.profile)

    def show(self, result: Result) -> None:
        """Show a result. The error of a partial one is left to `cli.Group.main`, as `failure`."""
        from . import outcomes

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
        """Return the error for a result that nobody could read. What the command created still exists."""
        error_type = BootstrapError
        if result.resources():
            error_type = IncompleteError
        error = error_type(f"The result could not be written: {cause.strerror or cause}.", code="output-failed")
        return error.add_details(resources=result.resources())

    def require_answer(self, *, yes: bool) -> None:
        """Raise UsageError if nobody can give the confirmation that will be needed: before any work is done."""
        self.require_yes(yes=yes)
        if not yes and not self.console.is_interactive():
            raise UsageError("This command needs a confirmation. Its input is not a terminal.", hint="Add --yes.")

    def require_yes(self, *, yes: bool) -> None:
        """Raise UsageError where the output is structured, which cannot ask, and there is no --yes."""
        if not yes and not self.console.is_text:
            raise UsageError("This command needs a confirmation. Structured output has no prompt.", hint="Add --yes.")

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Return whether the user agrees. Without a terminal that is a usage error, not a hang."""
        self.require_answer(yes=yes)
        return yes or self.console.agrees(question)

    def choose(self, question: str, options: Sequence[str]) -> int | None:
        """Return the position of the option that a person chooses; None where nobody can choose."""
        if self.console.is_text and self.console.is_interactive():
            return self.console.chosen(question, options)
        return None

    @property
    def passes_streams(self) -> bool:
        """Return whether what a box prints passes through as it comes. A document has it as text, at the end."""
        return self.console.is_text

    def require_streams(self, hint: str) -> None:
        """Raise UsageError where the output is structured: a document has an end."""
        if not self.console.is_text:
            raise UsageError("This has no end, so that there is no document of it.", hint=hint)

    def consents(self, question: Callable[[], str], *, yes: bool) -> bool:
        """Return whether a person agrees to more than was requested. Without `yes`, nobody to ask is a no."""
        if yes:
            return True
        return self.console.is_text and self.console.is_interactive() and self.console.agrees(question())

    def accept(self, question: Callable[[], str], *, yes: bool) -> bool:
        """Return whether to accept an alternative to the request: scripts and `--yes` accept, a person decides.

        Text without a terminal declines, since nobody can answer. The question is built only where it is shown.
        """
        if yes or not self.console.is_text:
            return True
        return self.console.is_interactive() and self.console.agrees(question())
