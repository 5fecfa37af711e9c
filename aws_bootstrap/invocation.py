"""How a printed command begins: the program as this user runs it, `ssh` with the config that knows the box.

Whoever writes a command for a person to copy begins it with one of the marks below. The console replaces the
mark as the last thing before it writes. So no result, hint or view knows how the program was started.
In a list of words (`next`) a mark is a word of its own, and is replaced by the words that it means.
"""

from __future__ import annotations

from typing import NamedTuple

#: The program, with the words before its command: `uv run aws-bootstrap`, `aws-bootstrap --sandbox`.
PROGRAM = "{aws-bootstrap}"

#: `ssh`, with the option that names the config where that is not the account's own.
SSH = "{ssh}"

#: A space and `--profile NAME`, or for nothing: in commands of the AWS CLI.
PROFILE = "{--profile}"

MARKS = (PROGRAM, SSH, PROFILE)


class Invocation(NamedTuple):
    """What replaces the marks, for one user in one shell."""

    program: str = "aws-bootstrap"
    ssh: str = "ssh"
    profile: str | None = None

    def fill(self, text: str) -> str:
        """Return the text with its marks replaced."""
        if "{" not in text:
            return text
        profile = ""
        if self.profile:
            import shlex

            profile = f" --profile {shlex.quote(self.profile)}"
        return text.replace(PROGRAM, self.program).replace(SSH, self.ssh).replace(PROFILE, profile)

    def words(self, mark: str) -> list[str]:
        """Return the words that a mark means."""
        if mark == PROGRAM:
            return _split(self.program)
        if mark == SSH:
            return _split(self.ssh)
        if self.profile:
            return ["--profile", self.profile]
        return []


def _split(line: str) -> list[str]:
    """Return a command line's words. AWS_BOOTSTRAP_PROGRAM may hold a line that no shell can read."""
    import shlex

    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
