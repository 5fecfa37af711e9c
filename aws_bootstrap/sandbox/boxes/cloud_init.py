"""cloud-init at the first boot: the user data's files are written, then its commands run.

https://cloudinit.readthedocs.io/en/latest/explanation/format.html (cloud-config and shell scripts; nothing else)
"""

from __future__ import annotations

import base64
import gzip
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

#: The programs of the guardian, which must not run in a box that shares the machine's processes.
_GUARDIAN = ("/usr/local/lib/aws-bootstrap/", "/usr/local/bin/aws-bootstrap")


@dataclass(frozen=True)
class File:
    """One file of `write_files`."""

    path: str
    content: bytes
    mode: int = 0o644
    append: bool = False


@dataclass(frozen=True)
class Config:
    """Parsed user data. `commands` are shell scripts, run in order as root; `error` is why it is invalid."""

    files: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()
    error: str = ""


def parse(user_data: bytes) -> Config:
    """Return the parsed user data. Invalid user data is reported in `error`, as cloud-init reports it in its log."""
    if user_data[:2] == b"\x1f\x8b":
        user_data = gzip.decompress(user_data)
    text = user_data.decode(errors="replace")
    if text.startswith("#!"):
        return Config(
            files=(File("/var/lib/cloud/user-script", user_data, 0o700),), commands=("/var/lib/cloud/user-script",)
        )
    if text.startswith("#cloud-config"):
        return _cloud_config(text)
    return Config(error="user data is neither a script nor cloud-config" if text.strip() else "")


def without_guardian(files: tuple[File, ...]) -> tuple[File, ...]:
    """Return the files that are no program of the guardian's."""
    return tuple(file for file in files if not file.path.startswith(_GUARDIAN))


def _cloud_config(text: str) -> Config:
    """Return a parsed cloud-config document."""
    import yaml

    try:
        document = yaml.safe_load(text) or {}
        files = tuple(_file(one) for one in document.get("write_files") or ())
        commands = tuple(_command(one) for one in [*(document.get("bootcmd") or ()), *(document.get("runcmd") or ())])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        return Config(error=f"cloud-config cannot be parsed: {error}")
    return Config(files, commands)


def _file(one: dict[str, Any]) -> File:
    """Return one file of `write_files`."""
    content = str(one.get("content", "")).encode()
    if one.get("encoding") in ("b64", "base64"):
        content = base64.b64decode(content)
    return File(one["path"], content, int(str(one.get("permissions", "0644")), 8), bool(one.get("append")))


def _command(one: str | list[Any]) -> str:
    """Return one entry of `runcmd` as a shell command: a string is one already, a list is its arguments."""
    return one if isinstance(one, str) else shlex.join(str(word) for word in one)


def _place(path: str) -> PurePosixPath:
    """Return where the box's tree has this path: /usr/local is its own, the rest of /usr the machine's."""
    relative = PurePosixPath(path).relative_to("/")
    if relative.parts[:2] == ("usr", "local"):
        return PurePosixPath(".local", *relative.parts[2:])
    return relative


def write(root: Path, files: tuple[File, ...]) -> None:
    """Write the files into the tree, and never outside it."""
    for file in files:
        target = root / _place(file.path)
        if ".." in target.parts or not target.parent.resolve().is_relative_to(root.resolve()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab" if file.append else "wb") as handle:
            handle.write(file.content)
        target.chmod(file.mode)
