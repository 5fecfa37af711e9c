"""The marked blocks of this tool in an OpenSSH config: text in, text out. Only `edit` touches a file.

Every byte outside the markers belongs to the user and stays as it is. A block that lacks its end is left alone and
reported by `broken`.

OpenSSH takes the first value that it finds for each keyword, so a block is put at the very top of the file. It ends
with `Host *`, so that the user's own global options below it go on applying to every host.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from . import sshconfig_block
from .errors import BootstrapError
from .files import ensure_private_folder, write_whole
from .sshconfig_block import Host, node_alias

if TYPE_CHECKING:
    from pathlib import Path  # at run time where it is used: shell completion does without

__all__ = [
    "Host",
    "add",
    "add_all",
    "broken",
    "cannot",
    "check_path",
    "check_writable",
    "edit",
    "find",
    "find_in",
    "host_patterns",
    "hosts",
    "named",
    "next_alias",
    "node_alias",
    "read",
    "remove",
    "with_host",
    "without_host",
]

_BEGIN = r"^# >>> aws-bootstrap \[(?P<id>[^\]\r\n]+)\] >>>[ \t]*\r?\n"
_BLOCK = re.compile(
    _BEGIN
    + r"(?P<body>(?:(?!# (?:>>>|<<<) aws-bootstrap ).*\n)*?)# <<< aws-bootstrap \[(?P=id)\] <<<[ \t]*(?:\r?\n|\Z)",
    re.MULTILINE,
)
_MARKER = re.compile(r"^# (?:>>>|<<<) aws-bootstrap \[(?P<id>[^\]\r\n]+)\]", re.MULTILINE)
#: The first name of a block. ssh and printed commands are given it as it is.
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\s|\Z)")
_HOST_LINE = re.compile(r"^[\s=]*Host[\s=](?P<patterns>.*)", re.IGNORECASE)

# A draft is renamed over the file. One that is still there under the lock was left by an editor that was killed.
_DRAFT_NAME = "aws-bootstrap-"
_RANDOM_NAME = r"[a-z0-9_]{8}"
_OLD_DRAFT_SECONDS = 3600.0
_MARKER_BYTES = b"# >>> aws-bootstrap ["


def hosts(text: str) -> list[Host]:
    """Return the managed hosts in the text, without blocks that lack an address, or an alias that is a plain word."""
    found: list[Host] = []
    for block in _BLOCK.finditer(text):
        words = sshconfig_block.words(block["body"])
        if _ALIAS.match(words.get("host", "")) and "hostname" in words:
            found.append(sshconfig_block.host(block["id"], words))
    return found


def find(text: str, alias_or_id: str) -> Host | None:
    """Return the managed host of that alias or instance id."""
    return find_in(hosts(text), alias_or_id)


def find_in(found: Iterable[Host], alias_or_id: str) -> Host | None:
    """Return the first of these hosts that has that alias or instance id."""
    for host in found:
        if alias_or_id in (host.alias, host.instance_id):
            return host
    return None


def broken(text: str) -> list[str]:
    """Return the instance ids whose begin or end marker has no counterpart, each once."""
    blocks = [block.span() for block in _BLOCK.finditer(text)]
    alone: list[str] = []
    for marker in _MARKER.finditer(text):
        if not _is_within(marker.start(), blocks) and marker["id"] not in alone:
            alone.append(marker["id"])
    return alone


def _is_within(position: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in spans)


def with_host(text: str, host: Host) -> str:
    """Return the text with this host's block at its top, in place of an older block of the same instance."""
    block = sshconfig_block.render(host).replace("\n", _line_end(text))
    return block + without_host(text, host.instance_id)


def without_host(text: str, instance_id: str) -> str:
    """Return the text without this host's block, as it was before `with_host`."""
    kept = ""
    position = 0
    for block in _BLOCK.finditer(text):
        if block["id"] == instance_id:
            kept += _line_end_undone(text[position : block.start()], block[0])
            position = block.end()
    return kept + text[position:]


def _line_end_undone(before: str, block: str) -> str:
    """Return the text before the block, as it was before older versions put the block there.

    They put it below the last line. If that line had no end, it got one like the block's own, and the block had none.
    """
    if block.endswith("\n") or sshconfig_block.CLOSING_LINE in block.splitlines():
        return before
    return before.removesuffix(_line_end(block))


def _line_end(text: str) -> str:
    """Return how the text ends its lines."""
    if "\r\n" in text:
        return "\r\n"
    return "\n"


def next_alias(text: str, prefix: str = "aws-gpu") -> str:
    """Return the prefix with a number: one above the highest managed alias, and not a host of the user's own."""
    numbers = [0]
    managed = re.findall(_BEGIN + r"Host[ \t]+(\S+)", text, re.MULTILINE)  # broken blocks too: ssh still reads them
    for _, alias in managed:
        numbered = re.fullmatch(rf"{re.escape(prefix)}([0-9]+)", alias)
        if numbered:
            numbers.append(int(numbered[1]))
    number = max(numbers) + 1
    taken = host_patterns(text)
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


def named(text: str, host: Host) -> Host:
    """Return the host with an alias: its own, else that of its block in the text, else a free one.

    A node gets the alias of its cluster and rank, unless another host has it.
    """
    if host.alias:
        return host
    known = find(text, host.instance_id)
    if known:
        return replace(host, alias=known.alias)
    of_node = host.node_alias
    if of_node and _ALIAS.fullmatch(of_node) and of_node not in host_patterns(text):
        return replace(host, alias=of_node)
    return replace(host, alias=next_alias(text))


def host_patterns(text: str) -> set[str]:
    """Return every word of every Host line. ssh lets the keyword and the words be quoted in part."""
    patterns: set[str] = set()
    for line in text.split("\n"):
        found = _HOST_LINE.match(re.sub(r"[\"']", "", line))
        if found:
            patterns.update(re.split(r"[\s=]+", found["patterns"]))
    return patterns


def read(path: Path | str) -> str:
    """Return the file's text, byte for byte; empty if there is none. BootstrapError if it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a FIFO would wait for a writer without end
            raise cannot("read", path, OSError("it is not a regular file"))
        return _content(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise cannot("read", path, exc) from exc


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Rewrite the file through `change`: alone, whole or not at all, keeping its mode, owner and symlink."""
    real = path.with_segments(os.path.realpath(path))
    try:
        ensure_private_folder(real.parent)
        with _locked(real.parent) as alone:
            old = read(real)
            _delete_dead_drafts(real, alone=alone)
            new = change(old)
            if new != old:
                _replace(real, new.encode("utf-8", "surrogateescape"))
    except OSError as exc:
        raise cannot("write", path, exc) from exc


def add(path: Path, host: Host) -> str:
    """Write the host into the file. Return its alias there: its own, or the next free one if it has none."""
    (alias,) = add_all(path, [host])
    return alias


def add_all(path: Path, new: Iterable[Host]) -> list[str]:
    """Write the hosts into the file in one edit. Return their aliases there, as `add` does."""
    aliases: list[str] = []

    def change(text: str) -> str:
        for host in new:
            written = named(text, host)
            aliases.append(written.alias)
            text = with_host(text, written)
        return text

    edit(path, change)
    return aliases


def remove(path: Path, instance_ids: Iterable[str]) -> dict[str, str]:
    """Remove these hosts from the file. Return the aliases removed, by instance id."""
    removed: dict[str, str] = {}

    def change(text: str) -> str:
        for instance_id in instance_ids:
            host = find(text, instance_id)
            if host:
                removed[instance_id] = host.alias
            text = without_host(text, instance_id)
        return text

    if any(instance_id in read(path) for instance_id in instance_ids):
        edit(path, change)
    return removed


def check_path(path: Path) -> None:
    """Raise BootstrapError if the path cannot be written into an SSH config so that ssh reads it as it is."""
    text = str(path)
    is_printable = all(_is_printable(character) for character in text)
    if not is_printable or '"' in text or "\\" in text or "${" in text:
        raise BootstrapError(
            f"An SSH config cannot hold the path {text!r}: it has a quote, a backslash, ${{ or a control character.",
            hint="Use a path without them.",
            code="ssh-config",
        )


def _is_printable(character: str) -> bool:
    """Return whether it is no control character. A byte that is not UTF-8 is none: Python gives it as a surrogate."""
    return character.isprintable() or "\udc80" <= character <= "\udcff"


def check_writable(path: Path) -> None:
    """Raise BootstrapError if `edit` could not write here; changes nothing."""
    folder = path.with_segments(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise cannot("write", path, PermissionError(f"{folder} is not writable"))
    read(path)


def cannot(verb: str, path: Path | str, exc: OSError) -> BootstrapError:
    """Return the error for an SSH config that cannot be read or written."""
    return BootstrapError(
        f"Cannot {verb} the SSH config {path}: {exc.strerror or exc}.",
        hint="Fix its permissions, or choose another file: export AWS_BOOTSTRAP_SSH_CONFIG=…",
        code="ssh-config",
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Admit one editor at a time, and yield whether that is certain: NFS homes cannot lock a folder.

    The folder itself is locked: the file is replaced, and a lock file would be litter.
    """
    handle = os.open(folder, os.O_RDONLY)
    alone = False
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            alone = True
        yield alone
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes) -> None:
    """Write the whole file, with the mode and owner of the one that it replaces. Only root can give a file away."""
    mode = 0o600
    owner: tuple[int, int] | None = None
    if path.exists():
        before = path.stat()
        mode = before.st_mode & 0o7777
        if os.geteuid() == 0:
            owner = (before.st_uid, before.st_gid)
    write_whole(path, content, mode=mode, owner=owner, draft_name=_DRAFT_NAME)


def _delete_dead_drafts(path: Path, *, alone: bool) -> None:
    """Delete the drafts of this file that editors left when they were killed."""
    with os.scandir(path.parent) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if _is_dead_draft(entry, path.name, alone):
                    os.unlink(entry.path)


def _is_dead_draft(entry: os.DirEntry[str], name: str, alone: bool) -> bool:
    """Return whether the entry is a draft of the file of that name, and certainly not one that is being written."""
    if not entry.is_file(follow_symlinks=False):
        return False
    facts = entry.stat(follow_symlinks=False)
    if facts.st_uid != os.geteuid():
        return False
    old = time.time() - facts.st_mtime > _OLD_DRAFT_SECONDS
    start = re.escape(f".{name}.")
    if re.fullmatch(start + _DRAFT_NAME + _RANDOM_NAME, entry.name):
        return alone or old
    if re.fullmatch(start + _RANDOM_NAME, entry.name):
        # Older versions named drafts so, and so may other programs: only the content shows whose it is.
        return old and _MARKER_BYTES in _content(entry.path)
    return False


def _content(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
