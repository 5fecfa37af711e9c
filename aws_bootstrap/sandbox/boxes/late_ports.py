"""Ports that do not answer: one that answers after a while, as on a slow first boot, and one that nothing reaches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

#: How many connections at most are needed to fill the queue of an unreachable port.
_MOST = 8


class LatePort:
    """A port that accepts connections at once and answers after some seconds: until then the kernel queues them."""

    def __init__(self, host: str, port: int, seconds: float, start: Callable[[socket.socket], Awaitable[Any]]) -> None:
        self._socket = _listening(host, port, 128)
        self._server: Any = None
        self._task = asyncio.get_running_loop().create_task(self._start(seconds, start))

    async def _start(self, seconds: float, start: Callable[[socket.socket], Awaitable[Any]]) -> None:
        await asyncio.sleep(seconds)
        self._server = await start(self._socket)

    @property
    def sockets(self) -> list[Any]:
        """Return the sockets that accept connections now."""
        if self._server is None:
            return []
        return list(self._server.sockets)

    def close(self) -> None:
        """Close the port."""
        self._task.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()


class UnreachablePort:
    """A port that drops what arrives: a connection attempt times out.

    On loopback no packet is lost, so the queue of a listening socket is filled: the kernel ignores further attempts.
    """

    sockets: tuple[Any, ...] = ()

    def __init__(self, host: str, port: int) -> None:
        self._held = [_listening(host, port, 0)]
        for _ in range(_MOST):
            filler = socket.socket(self._held[0].family, socket.SOCK_STREAM)
            filler.setblocking(False)
            self._held.append(filler)
            filler.connect_ex((host, port))

    def close(self) -> None:
        """Close the port."""
        for one in self._held:
            with contextlib.suppress(OSError):
                one.close()
        self._held.clear()


def _listening(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket."""
    created = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        created.setblocking(False)
        created.bind((host, port))
        created.listen(backlog)
    except OSError:
        created.close()
        raise
    return created
