"""Create a config file, and change one of its keys: text to text, then written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BootstrapError, UsageError
from ..files import ensure_private_folder, write_whole
from ..invocation import PROGRAM
from ..settings import unusable
from ..settings_file import SettingsFile, content_of, parsed
from ..trust import is_trusted

_BOM = "\ufeff"

USER_TEMPLATE = """\
# Options of aws-bootstrap that you would type each time. This file is read by every command.
# An option on the command line, its environment variable and the aws-bootstrap.toml of a project are above it.
# `config show` lists the values in force, and where each comes from.

# output = "text"        # text, json, yaml or table
# profile = "default"    # the AWS profile
# region = "us-west-2"   # where a command works in one region

# Each command has a table with its options, without the dashes in front.
# [launch]
# instance-type = ["g5.xlarge", "g4dn.xlarge"]
# ttl = "8h"             # each box ends by itself
# idle-timeout = "60m"
# max-price = 1.20

# [status]
# no-instructions = true

# Options of `launch` under a name of yours, for `launch --preset train`.
# [presets.train]
# instance-type = ["p4d.24xlarge"]
# max-cost = 40
"""

PROJECT_TEMPLATE = """\
# Options of aws-bootstrap for those who work in this folder. The file is read here alone, and only once it is trusted
# with `config trust`.
# It can never set who reaches a box, what runs on it, or which key opens it; and it can only lower your own limits.

# [launch]
# instance-type = ["g5.xlarge"]
# python-version = "3.13"
# ttl = "8h"

# Options of `launch` under a name of yours, for `launch --preset train`.
# [presets.train]
# ebs-storage = 200
"""


class Changed(NamedTuple):
    """A config file that was changed."""

    #: None where there was no file.
    before: SettingsFile | None
    content: bytes


def create(path: str, template: str) -> None:
    """Create a config file. UsageError if one exists; BootstrapError if it cannot be written."""
    with _edited(path):
        if os.path.lexists(path):
            hint = f"Change a key of it: {PROGRAM} config set --help"
            raise UsageError(f"{path} exists already.", hint=hint, code="config")
        write_whole(Path(path), template.encode(), mode=0o600)


class Edit(NamedTuple):
    """A key to set."""

    table: tuple[str, ...]
    name: str
    value: Any
    #: Other names of the same option, which must not remain beside it.
    others: tuple[str, ...] = ()


def change(path: str, edit: Edit, check: Callable[[SettingsFile], None], *, is_project: bool) -> Changed:
    """Set a key. `check` raises for a file that must not be written. Return the file before, and its new content."""
    with _edited(path):
        try:
            content = content_of(path, is_private=not is_project)
        except OSError as exc:
            raise unusable(path, exc) from exc
        before = None
        text = ""
        if content is not None:
            before = parsed(path, content, is_project=is_project)
            text = content.decode()
        new = with_value(text, edit).encode()
        check(parsed(path, new, is_project=is_project))
        target = Path(path).resolve()  # a link of a collection of dotfiles stays a link
        mode = 0o600
        if target.exists():
            mode = target.stat().st_mode & 0o7777
        write_whole(target, new, mode=mode)
        return Changed(before, new)


def with_value(text: str, edit: Edit) -> str:
    """Return the TOML text with this key set; comments, order and line ends of the rest stay."""
    import tomlkit

    has_bom = text.startswith(_BOM)
    text = text.removeprefix(_BOM)
    has_crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    document = tomlkit.parse(text.replace("\r\n", "\n") if has_crlf else text)
    place: Any = document
    for number, part in enumerate(edit.table, 1):
        if part not in place:
            place.add(part, tomlkit.table(is_super_table=number < len(edit.table)))
        place = place[part]
    for other in edit.others:
        place.pop(other, None)
    place[edit.name] = edit.value
    changed = tomlkit.dumps(document)
    if has_crlf:
        changed = changed.replace("\n", "\r\n")
    if has_bom:
        changed = _BOM + changed
    return changed


@contextlib.contextmanager
def _edited(path: str) -> Iterator[None]:
    """Admit one editor of the folder at a time. BootstrapError if folder or file cannot be written."""
    folder = Path(path).parent
    try:
        ensure_private_folder(folder)
        handle = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a home on NFS may not lock
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as exc:
        raise BootstrapError(f"{path} cannot be written: {exc.strerror or exc}.", code="config") from exc


def may_be_trusted(home: Path, path: str) -> bool:
    """Return whether a change of the project file may be trusted: it is trusted as it is, or does not exist."""
    try:
        content = content_of(path, is_private=False)
    except OSError:
        return False
    return content is None or is_trusted(home, path, content)
