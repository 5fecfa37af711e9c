#!/usr/bin/env python3
"""Put the block of aws-bootstrap at the top of a file of the user's: put_block.py FILE < BLOCK.

Standard library only, Python 3.8 or newer. Every byte outside the block is kept. The file is replaced by a draft beside
it, so it is never half written; a link stays a link, and the file that it leads to is replaced. Before the first change
a copy is kept as FILE.before-aws-bootstrap, which is never overwritten.

Prints "changed" or "unchanged". A block that lacks its first or last line cannot be told from what the user wrote: the
file is left alone and a sentence that begins with its name is printed instead. Exit status 1, with a sentence: the file
cannot be read or written.
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
    """The marks of a file's blocks do not come in pairs."""


class NotAFile(Exception):
    """Something other than a regular file has the name."""


def mark_of(line: bytes) -> bytes | None:
    """Return the mark that a line is, or None for any other line. An editor may have given it a CR."""
    text = line.rstrip(b"\n")
    if text.endswith(b"\r"):
        text = text[:-1]
    if text in (FIRST, LAST):
        return text
    return None


def without_block(content: bytes) -> bytes:
    """Return the content without our blocks. Raises BrokenBlock, which names the line."""
    kept = []
    begun_at = 0
    # Not splitlines: a lone CR is no end of a line for a shell.
    for number, line in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", content), start=1):
        mark = mark_of(line)
        if mark == FIRST and not begun_at:
            begun_at = number
        elif mark == LAST and begun_at:
            begun_at = 0
        elif mark == LAST:
            raise BrokenBlock(f"line {number} ends a block of aws-bootstrap that does not begin")
        elif mark == FIRST:
            break
        elif not begun_at:
            kept.append(line)
    if begun_at:
        raise BrokenBlock(f"line {begun_at} begins a block of aws-bootstrap that does not end")
    return b"".join(kept)


def read(path: Path) -> bytes | None:
    """Return what the file holds, or None if there is none. Raises NotAFile for a folder, a FIFO and the like."""
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
    # Left by a run that was killed.
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
        wanted = like.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, NEW_FILE_MODE)
        return
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (wanted.st_uid, wanted.st_gid):
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))


def put_block(path: Path, block: bytes) -> bool:
    """Put the block at the top of the file and return whether that changed the file."""
    # Where the name is a link, the file that it leads to.
    target = Path(os.path.realpath(path))
    content = read(target)
    wanted = block + without_block(content or b"")
    if content == wanted:
        return False
    copy = path.with_name(path.name + COPY)
    if content is not None and not os.path.lexists(copy):
        write(copy, content, target)
    write(target, wanted, target)
    return True


def main(arguments: list[str]) -> int:
    """Put the block on stdin into the file that is named."""
    path = Path(arguments[0])
    try:
        print("changed" if put_block(path, sys.stdin.buffer.read()) else "unchanged")
    except BrokenBlock as broken:
        print(f"{path} is left as it is: {broken}. Remove what is left of that block and run the setup again")
    except NotAFile:
        print(f"{path} is not a file: move it away and run the setup again")
        return 1
    except OSError as error:
        print(f"{path} could not be written: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
