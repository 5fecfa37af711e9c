"""Public addresses for boxes: on Linux each has one of its own in 127.0.0.0/8, which never leaves the machine.

A sandbox reserves one 127.N.0.0/16 by a listening socket, so that two sandboxes on one machine do not conflict.
macOS has only 127.0.0.1 until more are added: `sudo ifconfig lo0 alias 127.0.0.2`.
"""

from __future__ import annotations

import hashlib
import socket
import sys

from ..home import Home

CLAIM_PORT = 61127
_FIRST, _BLOCKS = 16, 224
_RESERVED_HOSTS = 10
_FEW = [f"127.0.0.{number}" for number in range(1, 33)]


class Addresses:
    """The addresses of one sandbox."""

    def __init__(self, home: Home, *, every: bool = sys.platform == "linux") -> None:
        self._cursor = home.root / "next-address"
        self._claim: socket.socket | None = None
        self._block = 0
        self._number = int(self._cursor.read_text()) if self._cursor.exists() else _RESERVED_HOSTS
        self._few = [] if every else [address for address in _FEW if _is_available(address)]
        if every:
            self._claim_block(home)

    def next(self) -> str:
        """Return an address that no box of this machine has or had recently; if there are few, return them in turn."""
        if self._few:
            self._few.append(self._few.pop(0))
            return self._few[-1]
        self._number = self._number + 1 if self._number < 0xFF00 else _RESERVED_HOSTS
        self._cursor.write_text(str(self._number))
        return f"127.{self._block}.{self._number >> 8}.{self._number & 255}"

    def release(self) -> None:
        """Release the block of addresses."""
        if self._claim:
            self._claim.close()

    def _claim_block(self, home: Home) -> None:
        """Reserve the block that follows from the home's path, or the next free one."""
        preferred = int.from_bytes(hashlib.sha256(str(home.root).encode()).digest()[:4]) % _BLOCKS
        for step in range(_BLOCKS):
            block = _FIRST + (preferred + step) % _BLOCKS
            holder = socket.socket()
            try:
                holder.bind((f"127.{block}.255.254", CLAIM_PORT))
                holder.listen(1)
            except OSError:
                holder.close()
                continue
            self._claim, self._block = holder, block
            return
        raise RuntimeError("no free block of loopback addresses on this machine")


def _is_available(address: str) -> bool:
    """Return whether this machine has the address."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def how_to_add(address: str) -> str:
    """Return how to add an address for one more box, on a machine with few of them."""
    following = int(address.rpartition(".")[2]) + 1
    return f"another box has this address; for one more: sudo ifconfig lo0 alias 127.0.0.{following}"
