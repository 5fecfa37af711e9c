"""Where this tool keeps its files, and how this user starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path  # at run time where it is used: shell completion does without

#: The config file of a project, looked for in the current folder alone.
PROJECT_CONFIG = "aws-bootstrap.toml"


class Paths(NamedTuple):
    """The files this tool reads and writes outside a project. `environ` is the process's environment."""

    environ: Mapping[str, str] = os.environ

    def of_sandbox(self) -> Paths:
        """Return the files of the sandbox, as far as shell completion reads them: its SSH config."""
        folder = self.environ.get("AWS_BOOTSTRAP_SANDBOX_HOME", "~/.aws-bootstrap/sandbox")
        return Paths({"AWS_BOOTSTRAP_SSH_CONFIG": os.path.join(folder, "ssh_config")})

    @property
    def home(self) -> Path:
        """Return the folder of this tool, absolute."""
        from pathlib import Path

        return Path(self.environ.get("AWS_BOOTSTRAP_HOME", "~/.aws-bootstrap")).expanduser().absolute()

    @property
    def known_hosts(self) -> Path:
        """Return the file of the boxes' host keys, by instance id."""
        return self.home / "known_hosts"

    @property
    def user_config(self) -> str | None:
        """Return the path of the user's config file; None where AWS_BOOTSTRAP_CONFIG is empty."""
        named = self.environ.get("AWS_BOOTSTRAP_CONFIG")
        if named is not None:
            return os.path.abspath(os.path.expanduser(named)) if named else None
        folder = self.environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(folder):  # the specification has a relative one ignored
            folder = os.path.expanduser("~/.config")
        return os.path.join(folder, "aws-bootstrap", "config.toml")

    @property
    def project_config(self) -> str | None:
        """Return the path of the current folder's config file; None where that folder was deleted."""
        try:
            return os.path.join(os.getcwd(), PROJECT_CONFIG)
        except OSError:
            return None

    @property
    def ssh_config(self) -> Path:
        """Return the OpenSSH config that holds the aliases of the boxes."""
        from pathlib import Path

        return Path(self.ssh_config_name)

    @property
    def ssh_config_name(self) -> str:
        """Return the path of that config as a text."""
        return os.path.expanduser(self.environ.get("AWS_BOOTSTRAP_SSH_CONFIG", "~/.ssh/config"))

    @property
    def ssh_flags(self) -> tuple[str, ...]:
        """Return the options by which `ssh` reads that config: it looks in the account's home, whatever HOME says."""
        account = _account()
        if account and self.ssh_config_name == os.path.expanduser(f"~{account}/.ssh/config"):
            return ()
        return ("-F", str(self.ssh_config))


def _account() -> str:
    """Return the name of the account that this process runs as; empty if it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an account
        return ""


def program(environ: Mapping[str, str] = os.environ) -> str:
    """Return how a printed command begins, so that it works where the reader pastes it."""
    named = environ.get("AWS_BOOTSTRAP_PROGRAM")
    if named:
        return named.replace("aws-bootstrap", _executable(environ), 1)
    return _executable(environ)


def _executable(environ: Mapping[str, str]) -> str:
    """Return `aws-bootstrap` if the reader's shell finds it; else the running script, from here.

    `uv run` puts the project's environment on PATH for the command alone, so what is found there does not count.
    """
    import shlex
    from pathlib import Path
    from shutil import which

    script = Path(sys.argv[0]).absolute()
    folders = environ.get("PATH", "").split(os.pathsep)
    if "UV_RUN_RECURSION_DEPTH" in environ:
        folders = [folder for folder in folders if Path(folder).absolute() != script.parent]
    if script.name != "aws-bootstrap" or which("aws-bootstrap", path=os.pathsep.join(folders)):
        return "aws-bootstrap"
    if script.is_relative_to(Path.cwd()):
        return shlex.quote(str(script.relative_to(Path.cwd())))
    return shlex.quote(str(script))
