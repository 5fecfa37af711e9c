"""Which project files the user trusts: one record a path, with the hash of what was shown, as direnv has it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from .files import ensure_private_folder, write_whole

_FOLDER = "trusted"


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def is_trusted(home: Path, path: str, content: bytes) -> bool:
    """Return whether the user trusts this content at this path. A record that cannot be read is no trust."""
    try:
        record = _record(home, path).read_text()
    except (OSError, ValueError):
        return False
    return record == _text(path, content)


def trust(home: Path, path: str, content: bytes) -> None:
    """Record that the user trusts this content at this path, in place of any other. OSError if it fails."""
    record = _record(home, path)
    ensure_private_folder(record.parent)
    write_whole(record, _text(path, content).encode(), mode=0o600)


def _record(home: Path, path: str) -> Path:
    """Return the file of the record: a path may have any length and any character, a file name not."""
    return home / _FOLDER / f"{digest(os.fsencode(path))}.json"


def _text(path: str, content: bytes) -> str:
    return json.dumps({"path": path, "sha256": digest(content)}) + "\n"
