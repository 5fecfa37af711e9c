"""One config file: read whole, with the line of each key. It knows TOML, and no option of this program."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import UsageError

#: Nobody writes as much by hand.
MAX_BYTES = 256 * 1024

_HEADER = re.compile(r"\s*\[+([^\]]*)\]+\s*(#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


@dataclass(frozen=True)
class SettingsFile:
    """A config file that was read."""

    path: str
    is_project: bool
    text: str
    values: Mapping[str, Any]

    def table(self, path: Sequence[str]) -> Mapping[str, Any]:
        """Return the table of that path, empty where the file has none. UsageError if it is no table."""
        table: Mapping[str, Any] = self.values
        for number, name in enumerate(path, 1):
            inner = table.get(name, {})
            if not isinstance(inner, Mapping):
                raise self.error(path[:number], f"{name} must be a table, such as [{'.'.join(path)}].")
            table = inner
        return table

    def line_of(self, key: Sequence[str]) -> int | None:
        """Return the number of the line that sets the key; None where it is not found."""
        table: list[str] = []
        for number, line in enumerate(self.text.splitlines(), 1):
            header = _HEADER.fullmatch(line)
            if header:
                table = _names(header[1])
                continue
            named = _KEY.match(line)
            if named and [*table, *_names(named[1])] == list(key):
                return number
        return None

    def place_of(self, key: Sequence[str]) -> str:
        """Return the file, with the line of the key where that is known."""
        line = self.line_of(key)
        if line is None:
            return self.path
        return f"{self.path}, line {line}"

    def error(self, key: Sequence[str], sentence: str, hint: str | None = None) -> UsageError:
        """Return the error for a key of this file."""
        name = printable(".".join(key))
        hint = hint or _way_out(is_project=self.is_project)
        return UsageError(f"{self.place_of(key)}: {name}: {sentence}", hint=hint, code="config")


def _way_out(*, is_project: bool) -> str:
    """Return what to do about a file with an error, also where a box must end right now."""
    if is_project:
        return "Fix the file, or run the command in another folder."
    return "Fix the file. To run commands without it: export AWS_BOOTSTRAP_CONFIG="


def _names(dotted: str) -> list[str]:
    """Return the names of a dotted key."""
    return [name.strip().strip("\"'") for name in dotted.split(".")]


def printable(text: str) -> str:
    """Return the text with escapes for what is not ASCII: a file of somebody else must not write to the terminal."""
    return text.encode("ascii", "backslashreplace").decode().translate(_CONTROLS)


_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(32), 127)}


def content_of(path: str, *, is_private: bool) -> bytes | None:
    """Return the content of a config file; None if there is no such file. OSError if it cannot be read.

    A pipe, a device or a huge file is refused before it is read. `is_private`: a file that everybody may change, too.
    """
    if path == os.devnull:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if is_private and facts.st_mode & stat.S_IWOTH:
            raise OSError(errno.EPERM, "everybody may change it")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES // 1024} KiB")
    return content


def parsed(path: str, content: bytes, *, is_project: bool) -> SettingsFile:
    """Return the file with this content. UsageError if it is not TOML."""
    import tomllib

    hint = _way_out(is_project=is_project)
    try:
        text = content.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path} is not a text in UTF-8.", hint=hint, code="config") from exc
    except RecursionError as exc:
        sentence = f"{path} is not valid TOML: its values are nested too deeply."
        raise UsageError(sentence, hint=hint, code="config") from exc
    except tomllib.TOMLDecodeError as exc:
        sentence = f"{path} is not valid TOML: {printable(str(exc))}."
        raise UsageError(sentence, hint=hint, code="config") from exc
    return SettingsFile(path, is_project, text, values)
