"""How a box is isolated from the machine: by namespaces if the system allows them, else by a plain folder.

root            mount, process, network and host-name namespaces
user            the same inside a user namespace, so that no root is needed
plain           none (macOS, locked-down containers): the box is a folder, and its fake programs map paths
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
BOOT = Path(__file__).with_name("boot.sh")
CHOICE_VARIABLE = "AWS_BOOTSTRAP_SANDBOX_ISOLATION"
_TOOLS = ("unshare", "nsenter", "mount", "pivot_root")
_TRIAL = "mount -t proc proc /proc && mount -t tmpfs tmpfs /mnt && hostname box"
_TRIAL_SECONDS = 10


@dataclass(frozen=True)
class Isolation:
    """One isolation mode. `unshare` and `nsenter` are the options of those two programs."""

    name: str
    unshare: tuple[str, ...] = ()
    nsenter: tuple[str, ...] = ()

    @property
    def has_namespaces(self) -> bool:
        """Return whether the box has namespaces of its own."""
        return bool(self.unshare)

    def holder(self, tree: Path, volumes: Path, host_name: str) -> list[str]:
        """Return the command whose process holds the box's namespaces and is its process 1."""
        boot = ["bash", str(BOOT), str(tree), str(volumes), python_prefix(), host_name, python_path()]
        return ["unshare", *self.unshare, "--fork", "--kill-child", *boot]

    def network_namespace(self) -> list[str]:
        """Return the prefix of a command that runs in a new network namespace."""
        options = [option for option in self.unshare if option in ("--user", "--map-root-user", "--net")]
        return ["unshare", *options]

    def enter_user_namespace(self, pid: int) -> list[str]:
        """Return the prefix of a command that runs in the user namespace of that process; none where it has none."""
        if "--user" not in self.unshare:
            return []
        return ["nsenter", "--target", str(pid), "--user", "--preserve-credentials"]

    def enter(self, pid: int) -> list[str]:
        """Return the prefix of a command that runs in the box whose process 1 has this pid."""
        return ["nsenter", "--target", str(pid), *self.nsenter] if self.has_namespaces else []


_SPACES = ("--mount", "--pid", "--uts", "--net")
ROOT = Isolation("root", _SPACES, _SPACES)
USER = Isolation("user", ("--user", "--map-root-user", *_SPACES), ("--user", "--preserve-credentials", *_SPACES))
PLAIN = Isolation("plain")
NONE = Isolation("none")
_BY_NAME = {mode.name: mode for mode in (ROOT, USER, PLAIN, NONE)}


def choose() -> Isolation:
    """Return the best mode that works here, or the one that the environment names."""
    requested = os.environ.get(CHOICE_VARIABLE)
    if requested:
        return _BY_NAME[requested]
    fallback = NONE if os.geteuid() == 0 else PLAIN
    if sys.platform != "linux" or not all(shutil.which(tool) for tool in _TOOLS):
        return fallback
    mode = ROOT if os.geteuid() == 0 else USER
    return mode if _works(mode) else fallback


def _works(mode: Isolation) -> bool:
    """Return whether this kernel and container allow the mode. The trial changes nothing outside."""
    try:
        trial = subprocess.run(
            ["unshare", *mode.unshare, "--fork", "sh", "-c", _TRIAL],
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _LOG.warning("isolation mode %s is not available: %s", mode.name, error)
        return False
    if trial.returncode:
        _LOG.warning("isolation mode %s is not available: %s", mode.name, trial.stderr.strip())
    return trial.returncode == 0


def python_prefix() -> str:
    """Return the prefix of the boxes' interpreter: the base of this process's virtual environment."""
    return os.path.realpath(sys.base_prefix)


def python_path() -> str:
    """Return the interpreter that runs the boxes' fake programs."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))
