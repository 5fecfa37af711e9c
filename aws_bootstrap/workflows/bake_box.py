"""What `bake` does on the box over SSH: read what is on it, prepare it to be copied, wait until it is back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .. import output
from ..errors import BootstrapError, SshError
from ..invocation import PROGRAM, SSH
from ..retry import poll
from ..ssh import LoginTimeouts, Ssh, wrapped
from .provision import RESOURCES_VERSION, tarball

if TYPE_CHECKING:
    from ..sshconfig import Host

_FOLDER = files("aws_bootstrap") / "resources" / "image"
_FILES = ("first-boot.sh", "first-boot.service", "prepare.sh")
#: For each command on the box, in seconds.
_LIMIT = 120.0
#: For how long the box may take to answer again after its reboot.
BACK_SECONDS = 600.0
_LOOK_EVERY = 2.0
#: What the setup reports of itself that says what is on an image.
_FACTS = ("cuda_version", "python", "torch")

_UNPACK = """\
mkdir -p ~/.aws-bootstrap && folder=$(mktemp -d ~/.aws-bootstrap/bake.XXXXXX) || exit
tar xzf - -C "$folder" && cd "$folder" || exit
trap 'rm -rf "$folder"' EXIT
"""
_READ = (
    f"""{_UNPACK}
echo @setup; cat ~/.aws-bootstrap/setup.json 2>/dev/null
echo @resources; cat ~/.aws-bootstrap/setup/{RESOURCES_VERSION} 2>/dev/null; echo
echo @mounted; findmnt -no TARGET /data
"""
    'echo @secrets; sudo -n bash -c "$(<first-boot.sh)" first-boot remaining'
)
_PREPARE = f"{_UNPACK}bash prepare.sh"
#: What is true of the box after its reboot: prints the mount point if the data volume is mounted.
_BACK = "! sudo -n test -e /run/aws-bootstrap-bake && { findmnt -no TARGET /data; true; }"


@dataclass(frozen=True)
class OnBox:
    """What is on a box before it is copied."""

    #: What the setup has installed, in one line; None if no setup has completed.
    setup: str | None
    #: The version of the setup's files.
    resources: str | None
    has_data: bool
    #: The files that look like secrets, and remain in a copy.
    remaining_secrets: tuple[str, ...]


def read(ssh: Ssh, host: Host) -> OnBox:
    """Return what is on the box. Changes nothing. SshError if it cannot be reached."""
    done = ssh.run(host.alias, wrapped(_READ), stdin=_package(), limit=_LIMIT)
    sections = _sections(done.lines)
    version = "".join(sections.get("resources", [])).strip()
    return OnBox(
        setup=_setup_line("\n".join(sections.get("setup", []))),
        resources=version or None,
        has_data=bool(sections.get("mounted")),
        remaining_secrets=tuple(sections.get("secrets", [])),
    )


def _package() -> bytes:
    return tarball({name: (_FOLDER / name).read_bytes() for name in _FILES})


def _sections(lines: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the lines that follow each mark."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("@"):
            current = sections.setdefault(line[1:], [])
        else:
            current.append(line)
    return sections


def _setup_line(text: str) -> str | None:
    """Return what setup.json says of a completed setup, in one line; None for any other."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("outcome") != "completed":
        return None
    facts: list[str] = []
    for name in _FACTS:
        if found.get(name):
            facts.append(f"{name.removesuffix('_version')} {found[name]}")
    return ", ".join(facts) or "completed"


def prepare(ssh: Ssh, host: Host) -> None:
    """Install on the box what removes its secrets from a copy. BootstrapError if that cannot be relied on."""
    done = ssh.run(host.alias, wrapped(_PREPARE), stdin=_package(), limit=_LIMIT)
    last_line = done.lines[-1] if done.lines else ""
    if done.exit_code == 0 and last_line == "prepared":
        return
    if last_line == "no-identity":
        raise BootstrapError(
            f"The hardware of {host.alias} does not say which instance it is, so a copy could not remove its secrets.",
            hint=f"Show it: {SSH} {host.alias} sudo cat /sys/devices/virtual/dmi/id/product_uuid",
            code="no-identity",
        )
    raise BootstrapError(
        f"{host.alias} could not be prepared to be copied: {last_line or 'no output'}",
        hint=f"No image was created, and the box goes on. Repair it: {PROGRAM} setup {host.alias}",
        code="bake-failed",
    )


def wait_until_back(ssh: Ssh, host: Host, *, had_data: bool, seconds: float = BACK_SECONDS) -> str | None:
    """Wait until the box has rebooted and answers, its data volume mounted if it was. Return why not, None if it is."""
    reason = "it has not rebooted"

    def is_back() -> bool | None:
        nonlocal reason
        try:
            done = ssh.run(host.alias, wrapped(_BACK), timeouts=LoginTimeouts(0, 0), limit=_LIMIT)
        except SshError as exc:
            reason = str(exc)
            return None
        if done.exit_code != 0:
            return None
        if had_data and "/data" not in done.lines:
            reason = "/data is not mounted again"
            return None
        return True

    if poll(_reporting(host.alias, is_back), timeout=seconds, every=_LOOK_EVERY):
        output.live("")
        return None
    output.live("")
    return reason


def _reporting[T](alias: str, check: Callable[[], T]) -> Callable[[], T]:
    """Return the check with a live line before it."""

    def run() -> T:
        output.live(f"Waiting until {alias} answers again after its reboot")
        return check()

    return run
