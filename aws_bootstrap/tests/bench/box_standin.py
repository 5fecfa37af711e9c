"""The SSH ports of boxes that boot: they open some seconds after the launch. A setup sent there only waits."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from functools import partial
from typing import Any

import asyncssh

from .aws_answers import World
from .aws_launch import address

#: What the program reads as the beginning and the end of a command: its own marks, which `ssh_frame.py` has.
_BEGINS = "@aws-bootstrap-connected\n"
_ENDS = "\n@aws-bootstrap-ended 0\n"
#: The only step of a setup, and its report, as `provision.py` reads them.
STEP = "Wait"
_STEP_BEGINS = f"==> {STEP}\n"
_SETUP_DONE = f"    {STEP}: completed\n@aws-bootstrap-report\n{{}}\n"
_MOUNTED = json.dumps({"device": "/dev/nvme1n1", "mount_point": "/data", "fstype": "ext4", "formatted": True}) + "\n"
_SECRET = re.compile(rb"'secret': '(\w+)'")


class Boxes:
    """The ports. Everybody may log in."""

    def __init__(self, world: World, port: int, opens_after: float, setup_seconds: float) -> None:
        self._world = world
        self._port = port
        self._opens_after = opens_after
        self._setup_seconds = setup_seconds
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._listeners: list[asyncssh.SSHAcceptor] = []
        #: Seconds since the epoch at which they opened; 0.0 while they are closed.
        self.opened_at = 0.0
        self.connections = 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def opens_with_launch(self) -> None:
        """Open the ports so long after the launch."""
        launched = self._world.launched
        assert launched
        asyncio.run_coroutine_threadsafe(self._open(launched.at + self._opens_after, launched.count), self._loop)

    def close(self) -> None:
        """Close the ports, and forget the connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def open_now(self) -> None:
        """Open the first port, for a program that only logs in."""
        asyncio.run_coroutine_threadsafe(self._open(time.time(), 1), self._loop).result()

    async def _open(self, moment: float, count: int) -> None:
        await asyncio.sleep(max(0.0, moment - time.time()))
        for index in range(count):
            listener = await asyncssh.create_server(
                self._login,
                address(index),
                self._port,
                server_host_keys=[self._key],
                process_factory=partial(_answer, self._setup_seconds),
                encoding=None,
            )
            self._listeners.append(listener)
        self.opened_at = time.time()

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
            await listener.wait_closed()
        self._listeners.clear()
        self.opened_at = 0.0
        self.connections = 0

    def _login(self) -> asyncssh.SSHServer:
        self.connections += 1
        return _Login()


class _Login(asyncssh.SSHServer):
    """A connection, whose user need not prove who he is."""

    def begin_auth(self, username: str) -> bool:
        return False


async def _answer(setup_seconds: float, process: Any) -> None:
    """Take what the command sends, and answer as a box does on which there was nothing to do."""
    sent = await process.stdin.read()
    command = process.command or ""
    _write(process, _BEGINS)
    if "SETUP_REPORT" in command:
        _write(process, _STEP_BEGINS)
        await asyncio.sleep(setup_seconds)
        _write(process, _SETUP_DONE)
    elif "put-peers" in command:
        found = _SECRET.search(sent)
        assert found
        _write(process, json.dumps({"secret": found[1].decode()}) + "\n")
    elif "mount_data_volume" in command:
        _write(process, _MOUNTED)
    _write(process, _ENDS)
    process.exit(0)


def _write(process: Any, text: str) -> None:
    process.stdout.write(text.encode())
