"""The SSH port of a box that boots: it opens some seconds after the launch. A setup sent to it does nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import asyncssh

from aws_bootstrap.tests.bench.aws_answers import World

#: What the program reads as a setup that ended well: its own marks, which `ssh_frame.py` and `provision.py` have.
_SETUP_DONE = b"@aws-bootstrap-connected\n@aws-bootstrap-report\n{}\n\n@aws-bootstrap-ended 0\n"


class Box:
    """The port. Everybody may log in."""

    def __init__(self, world: World, port: int, opens_after: float) -> None:
        self._world = world
        self._port = port
        self._opens_after = opens_after
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._listener: asyncssh.SSHAcceptor | None = None
        #: Seconds since the epoch at which it opened; 0.0 while it is closed.
        self.opened_at = 0.0
        self.connections = 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def opens_with_launch(self) -> None:
        """Open the port so long after the launch."""
        assert self._world.launched_at
        asyncio.run_coroutine_threadsafe(self._open(self._world.launched_at + self._opens_after), self._loop)

    def close(self) -> None:
        """Close the port, and forget the connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def open_now(self) -> None:
        """Open the port, for a program that only logs in."""
        asyncio.run_coroutine_threadsafe(self._open(time.time()), self._loop).result()

    async def _open(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - time.time()))
        self._listener = await asyncssh.create_server(
            self._login,
            "127.0.0.1",
            self._port,
            server_host_keys=[self._key],
            process_factory=_answer,
            encoding=None,
        )
        self.opened_at = time.time()

    async def _close(self) -> None:
        if self._listener:
            self._listener.close()
            await self._listener.wait_closed()
        self._listener = None
        self.opened_at = 0.0
        self.connections = 0

    def _login(self) -> asyncssh.SSHServer:
        self.connections += 1
        return _Login()


class _Login(asyncssh.SSHServer):
    """A connection, whose user need not prove who he is."""

    def begin_auth(self, username: str) -> bool:
        return False


async def _answer(process: Any) -> None:
    """Take what the command sends, and answer as the setup does that had nothing to do."""
    await process.stdin.read()
    process.stdout.write(_SETUP_DONE)
    process.exit(0)
