#!/usr/bin/env python3
"""Put the block of aws-bootstrap at the top of one of the user's files: put_block.py FILE < BLOCK.

Standard library only, Python 3.8 or newer. Every byte outside the block is kept. The file is replaced by a draft beside
it, so it is never half written. A link stays a link, and its target is replaced. Before the first change a copy is kept
as FILE.before-aws-bootstrap, which is never overwritten.

Prints "changed" or "unchanged". If a block lacks its first or last line, its extent is not known. Then the file stays
unchanged, and a sentence that begins with the file's name is printed. If the file cannot be read or written, prints a
sentence and exits with status 1.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from pathlib import Path

FIRST = b"# >>> aws-bootstrap >>>"
LAST = b"# <<< aws-bootstrap <<<"
COPY = ".before-aws-bootstrap"
DRAFT = ".aws-bootstrap-draft"
NEW_FILE_MODE = 0o644


class BrokenBlock(Exception):
    """A block in the file lacks its first or last line."""


class NotAFile(Exception):
    """The path is not a regular file."""


def mark_of(line: bytes) -> bytes | None:
    """Return the mark if the line is one, else None. An editor may have added a CR."""
    text = line.rstrip(b"\n")
    if text.endswith(b"\r"):
        text = text[:-1]
    if text in (FIRST, LAST):
        return text
    return None


def without_block(content: bytes) -> bytes:
    """Return the content without the blocks of aws-bootstrap. Raises BrokenBlock, which names the line."""
    kept = []
    begun_at = 0
    # Not splitlines: a lone CR does not end a line for a shell.
    for number, line in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", content), start=1):
        mark = mark_of(line)
        if mark == FIRST and not begun_at:
            begun_at = number
        elif mark == LAST and begun_at:
            begun_at = 0
        elif mark == LAST:
            raise BrokenBlock(f"the block of aws-bootstrap that ends in line {number} has no first line")
        elif mark == FIRST:
            break
        elif not begun_at:
            kept.append(line)
    if begun_at:
        raise BrokenBlock(f"the block of aws-bootstrap that begins in line {begun_at} has no last line")
    return b"".join(kept)


def read(path: Path) -> bytes | None:
    """Return the file's content, or None if it does not exist. Raises NotAFile for a folder, a FIFO and so on."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile
    return path.read_bytes()


def write(path: Path, content: bytes, like: Path) -> None:
    """Replace the file at PATH by the content, with the mode and the owner of LIKE if that exists."""
    draft = path.with_name(path.name + DRAFT)
    # A killed run may have left one.
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            output.write(content)
            output.flush()
            _copy_access(like, output.fileno())
            os.fsync(output.fileno())
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _copy_access(like: Path, descriptor: int) -> None:
    """Give an open file the mode and the owner of another one."""
    try:
        expected = like.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, NEW_FILE_MODE)
        return
    current = os.fstat(descriptor)
    if (current.st_uid, current.st_gid) != (expected.st_uid, expected.st_gid):
        os.fchown(descriptor, expected.st_uid, expected.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(expected.st_mode))


def put_block(path: Path, block: bytes) -> bool:
    """Put the block at the top of the file and return whether that changed the file."""
    # If the path is a link, change its target.
    target = Path(os.path.realpath(path))
    content = read(target)
    new_content = block + without_block(content or b"")
    if content == new_content:
        return False
    copy = path.with_name(path.name + COPY)
    if content is not None and not os.path.lexists(copy):
        write(copy, content, target)
    write(target, new_content, target)
    return True


def main(arguments: list[str]) -> int:
    """Put the block from stdin into the file that the first argument names, and return the exit status."""
    path = Path(arguments[0])
    try:
        print("changed" if put_block(path, sys.stdin.buffer.read()) else "unchanged")
    except BrokenBlock as broken:
        print(f"{path} was not changed: {broken}. Remove the rest of that block and run the setup again")
    except NotAFile:
        print(f"{path} is not a file: move it away and run the setup again")
        return 1
    except OSError as error:
        print(f"{path} could not be written: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
