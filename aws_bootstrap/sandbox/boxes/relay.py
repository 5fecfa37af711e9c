"""Connections to ports inside a box, for SSH port forwarding.

A box with namespaces has a loopback of its own. A small helper inside it opens the connection there and hands the
socket over (SCM_RIGHTS, unix(7)), so that the data itself takes no detour. It starts with the first forward.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess

from .isolation import python_path
from .processes import Processes

_HELPER = """
import json, socket
line = socket.socket(fileno=0)
while asked := line.recv(4096):
    try:
        made = socket.create_connection(json.loads(asked), 10)
        made.settimeout(None)
        socket.send_fds(line, [b"ok"], [made.fileno()])
        made.close()
    except OSError as error:
        line.send(("no " + str(error)).encode())
"""
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Relay:
    """The connections that are opened inside one box."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._tree = processes.tree
        self._helper: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._lock = asyncio.Lock()

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a socket that is connected to that port as the box sees it. Raises OSError."""
        if not self._tree.isolation.apart:
            return await asyncio.to_thread(_connect_plain, host, self._plain_port(host, port))
        async with self._lock:
            return await asyncio.to_thread(self._ask, host, port)

    def _plain_port(self, host: str, port: int) -> int:
        """Return the port that a server took: without a loopback of its own it may not have got the one it named."""
        moved = self._tree.root / f"run/sandbox/ports/{port}"
        if host in _LOCAL and moved.exists():
            return int(moved.read_text())
        return port

    def _ask(self, host: str, port: int) -> socket.socket:
        line = self._line or self._start()
        line.send(json.dumps([host, port]).encode())
        words, handed, _, _ = socket.recv_fds(line, 4096, 1)
        if not handed:
            raise OSError(words.decode() or "the box is gone")
        return socket.socket(fileno=handed[0])

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._helper = subprocess.Popen(
            self._processes.command(python_path(), "-ISc", _HELPER),
            stdin=theirs.fileno(),
            env=self._tree.environment(),
            start_new_session=True,
        )
        theirs.close()
        self._line = ours
        return ours

    def end(self) -> None:
        """End the helper."""
        if self._line:
            self._line.close()
            self._line = None
        if self._helper:
            self._helper.kill()
            self._helper.wait()
            self._helper = None


def _connect_plain(host: str, port: int) -> socket.socket:
    """Connect to the loopback, and to nothing else: a box has no way out."""
    if host not in _LOCAL:
        raise OSError("a box has no network")
    made = socket.create_connection(("127.0.0.1", port), 10)
    made.settimeout(None)
    return made
