"""Connections to ports inside a box, for SSH port forwarding.

A box with namespaces has a loopback of its own. A small helper inside it opens the connection there and passes the
socket (SCM_RIGHTS, unix(7)), so that the data is not copied a second time. It starts with the first forward.
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
while request := line.recv(4096):
    try:
        connection = socket.create_connection(json.loads(request), 10)
        connection.settimeout(None)
        socket.send_fds(line, [b"ok"], [connection.fileno()])
        connection.close()
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
        """Return a socket that is connected to that port inside the box; raise OSError if it cannot connect."""
        if not self._tree.isolation.has_namespaces:
            return await asyncio.to_thread(_connect_plain, host, self._plain_port(host, port))
        async with self._lock:
            return await asyncio.to_thread(self._request, host, port)

    def _plain_port(self, host: str, port: int) -> int:
        """Return the port of a server of the box: on the shared loopback its own port may have been in use."""
        moved = self._tree.root / f"run/sandbox/ports/{port}"
        if host in _LOCAL and moved.exists():
            return int(moved.read_text())
        return port

    def _request(self, host: str, port: int) -> socket.socket:
        """Return a connected socket from the helper; raise OSError if it cannot connect."""
        line = self._line or self._start()
        line.send(json.dumps([host, port]).encode())
        message, descriptors, _, _ = socket.recv_fds(line, 4096, 1)
        if not descriptors:
            raise OSError(message.decode() or "the box has halted")
        return socket.socket(fileno=descriptors[0])

    def _start(self) -> socket.socket:
        """Start the helper; return the socket to it."""
        local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._helper = subprocess.Popen(
            self._processes.command(python_path(), "-ISc", _HELPER),
            stdin=remote.fileno(),
            env=self._tree.environment(),
            start_new_session=True,
        )
        remote.close()
        self._line = local
        return local

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
    """Return a connection to the loopback; raise OSError for any other host: a box has no network."""
    if host not in _LOCAL:
        raise OSError("a box has no network")
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.settimeout(None)
    return connection
