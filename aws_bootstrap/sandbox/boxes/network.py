"""The network between boxes: each box with namespaces has its instance's private address, as in its VPC.

`switch.py` runs in a network namespace beside them, and nothing leads from there to the machine's own network. Boxes
without namespaces share the machine's loopback: their private addresses are addresses of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from ipaddress import ip_network
from pathlib import Path

from ..cloud.world import Machine
from .isolation import Isolation, python_path

_SWITCH = Path(__file__).with_name("switch.py")
_ANSWER_SECONDS = 10


class Network:
    """The switch of one sandbox. It starts with the first box."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._switch: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._lock = asyncio.Lock()

    async def holder(self, tree: Path, volumes: Path, host_name: str) -> list[str]:
        """Return the command whose process holds a box's namespaces, inside the switch's user namespace if it has one.

        So the switch may change the box's network.
        """
        async with self._lock:
            if self._switch is None or self._switch.poll() is not None:
                await asyncio.to_thread(self._start)
        command = self._isolation.holder(tree, volumes, host_name)
        if self._switch is None:
            return command
        return [*self._isolation.enter_user_namespace(self._switch.pid), *command]

    async def connect(self, pid: int, machine: Machine) -> None:
        """Connect the box whose process 1 this is; raise OSError if that is not possible."""
        length = ip_network(machine.vpc_cidr).prefixlen
        request = {"pid": pid, "vpc": machine.vpc_id, "address": f"{machine.private_ip}/{length}"}
        async with self._lock:
            await asyncio.to_thread(self._request, request)

    def _start(self) -> None:
        """Start the switch, and wait until it has its namespaces. Where they are not allowed there is none."""
        self.end()
        line, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(_ANSWER_SECONDS)
        self._switch = subprocess.Popen(
            [*self._isolation.network_namespace(), python_path(), "-IS", str(_SWITCH)],
            stdin=remote.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        remote.close()
        self._line = line
        if not line.recv(64):
            self.end()

    def _request(self, request: dict[str, object]) -> None:
        """Send a request to the switch; raise OSError if it fails."""
        if self._line is None:
            raise OSError("the switch could not be started")
        self._line.send(json.dumps(request).encode())
        answer = self._line.recv(4096).decode()
        if answer != "ok":
            raise OSError(answer or "the switch has ended")

    def end(self) -> None:
        """End the switch."""
        if self._line:
            self._line.close()
        if self._switch:
            self._switch.wait()
        self._line = self._switch = None
