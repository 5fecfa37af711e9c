"""The serial console of a box: what its programs write to /dev/console comes into its log."""

from __future__ import annotations

import asyncio
import contextlib
import os

from .tree import Tree

_CHUNK = 65536


class Console:
    """/dev/console of one box while it runs. A box without namespaces has the machine's, which is not read."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._pipe: int | None = None

    def open(self) -> None:
        """Begin to copy. The pipe is open for writing too, or it would end with its first writer."""
        self._pipe = os.open(self._tree.console_pipe, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._pipe, self._copy)

    def _copy(self) -> None:
        """Copy what was written since the last time."""
        if self._pipe is None:
            return
        with contextlib.suppress(BlockingIOError), self._tree.console.open("ab") as log:
            while data := os.read(self._pipe, _CHUNK):
                log.write(data)

    def close(self) -> None:
        """Copy the rest, and end."""
        if self._pipe is None:
            return
        self._copy()
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = None
