"""What cloud-init does with user data at the first boot: files are written, then commands run.

https://cloudinit.readthedocs.io/en/latest/explanation/format.html (cloud-config and shell scripts; nothing else)
"""

from __future__ import annotations

import base64
import gzip
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class File:
    """One file of `write_files`."""

    path: str
    content: bytes
    mode: int = 0o644
    append: bool = False


@dataclass(frozen=True)
class Config:
    """What user data asks for. `commands` are shell scripts, to be run in order as root."""

    files: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()
    complaint: str = ""


def parse(user_data: bytes) -> Config:
    """What the user data asks for. What cannot be read is told in `complaint`, as cloud-init tells it in its log."""
    if user_data[:2] == b"\x1f\x8b":
        user_data = gzip.decompress(user_data)
    text = user_data.decode(errors="replace")
    if text.startswith("#!"):
        return Config(
            files=(File("/var/lib/cloud/user-script", user_data, 0o700),), commands=("/var/lib/cloud/user-script",)
        )
    if text.startswith("#cloud-config"):
        return _cloud_config(text)
    return Config(complaint="user data is neither a script nor cloud-config" if text.strip() else "")


def _cloud_config(text: str) -> Config:
    import yaml

    try:
        wanted = yaml.safe_load(text) or {}
        files = tuple(_file(one) for one in wanted.get("write_files") or ())
        commands = tuple(_command(one) for one in [*(wanted.get("bootcmd") or ()), *(wanted.get("runcmd") or ())])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        return Config(complaint=f"cloud-config cannot be read: {error}")
    return Config(files, commands)


def _file(one: dict[str, Any]) -> File:
    content = str(one.get("content", "")).encode()
    if one.get("encoding") in ("b64", "base64"):
        content = base64.b64decode(content)
    return File(one["path"], content, int(str(one.get("permissions", "0644")), 8), bool(one.get("append")))


def _command(one: str | list[Any]) -> str:
    """A line of `runcmd`: a text is for the shell, a list is run word by word."""
    return one if isinstance(one, str) else shlex.join(str(word) for word in one)


def write(root: Path, files: tuple[File, ...]) -> None:
    """Writes the files into the tree, and never outside it."""
    for file in files:
        target = root / PurePosixPath(file.path).relative_to("/")
        if ".." in target.parts or not target.parent.resolve().is_relative_to(root.resolve()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab" if file.append else "wb") as handle:
            handle.write(file.content)
        target.chmod(file.mode)
