"""Files and folders of this machine, created so that nobody else can read them and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def ensure_private_folder(folder: Path) -> None:
    """Create the folder, and those above it, for their owner alone, whatever the umask says. OSError if it fails."""
    if folder.is_dir():
        return
    ensure_private_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process was quicker
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)


def write_whole(
    path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None = None, draft_name: str = ""
) -> None:
    """Write a file whole or not at all: a draft beside it is renamed over it. OSError if it fails.

    `owner`: user and group id, where they are to be set. `draft_name` is part of the draft's name, so that a draft
    whose writer was killed can be recognized.
    """
    import tempfile

    prefix = f".{path.name}.{draft_name}"
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, delete=False) as draft:
        try:
            draft.write(content)
            os.fchmod(draft.fileno(), mode)
            if owner:
                os.fchown(draft.fileno(), *owner)
            draft.flush()
            os.fsync(draft.fileno())
            os.replace(draft.name, path)
        except BaseException:
            os.unlink(draft.name)
            raise
