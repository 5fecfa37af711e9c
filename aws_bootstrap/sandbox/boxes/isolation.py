"""How a box is kept apart from the machine: namespaces where the system gives them, a plain folder where not.

root            mount, process, network and host-name namespaces
user            the same inside a user namespace, so that no root is needed
plain           none (macOS, locked-down containers): the box is a folder, and its stand-ins map paths
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
    """One way of keeping apart. `unshare` and `nsenter` are the options of those two programs."""

    name: str
    unshare: tuple[str, ...] = ()
    nsenter: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether the box has namespaces of its own."""
        return bool(self.unshare)

    def holder(self, tree: Path, volumes: Path, host_name: str) -> list[str]:
        """The command whose process holds the box's namespaces and is its process 1."""
        boot = ["bash", str(BOOT), str(tree), str(volumes), python_prefix(), host_name, python_path()]
        return ["unshare", *self.unshare, "--fork", "--kill-child", *boot]

    def enter(self, pid: int) -> list[str]:
        """The words before a command that is to run in the box whose process 1 has this pid."""
        return ["nsenter", "--target", str(pid), *self.nsenter] if self.apart else []


_SPACES = ("--mount", "--pid", "--uts", "--net")
ROOT = Isolation("root", _SPACES, _SPACES)
USER = Isolation("user", ("--user", "--map-root-user", *_SPACES), ("--user", "--preserve-credentials", *_SPACES))
PLAIN = Isolation("plain")
NONE = Isolation("none")
_BY_NAME = {way.name: way for way in (ROOT, USER, PLAIN, NONE)}


def choose() -> Isolation:
    """The best way that works here, or the one that the environment names."""
    wanted = os.environ.get(CHOICE_VARIABLE)
    if wanted:
        return _BY_NAME[wanted]
    fallback = NONE if os.geteuid() == 0 else PLAIN
    if sys.platform != "linux" or not all(shutil.which(tool) for tool in _TOOLS):
        return fallback
    way = ROOT if os.geteuid() == 0 else USER
    return way if _works(way) else fallback


def _works(way: Isolation) -> bool:
    """Whether this kernel, and whatever container we are in, allows it. Changes nothing outside."""
    try:
        trial = subprocess.run(
            ["unshare", *way.unshare, "--fork", "sh", "-c", _TRIAL],
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _LOG.warning("no namespaces of the kind %s: %s", way.name, error)
        return False
    if trial.returncode:
        _LOG.warning("no namespaces of the kind %s: %s", way.name, trial.stderr.strip())
    return trial.returncode == 0


def python_prefix() -> str:
    """Where the interpreter of the boxes lives: the one below our own virtual environment."""
    return os.path.realpath(sys.base_prefix)


def python_path() -> str:
    """The interpreter that the boxes' stand-ins run under."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))
