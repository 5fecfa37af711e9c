"""The SSH ports of one box: which are open, and how they behave under an SSH fault."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from typing import Any

import asyncssh

from . import sshd_config
from .addresses import how_to_add
from .late_ports import LatePort, UnreachablePort
from .login import Logins, LoginServer
from .processes import Processes
from .relay import Relay
from .ssh_commands import UNREACHABLE, SshCommands
from .tree import Tree

Listener = asyncssh.SSHAcceptor | asyncio.Server | LatePort | UnreachablePort


class LoginPorts:
    """The listeners of one box, and their connections."""

    def __init__(self, instance_id: str, processes: Processes, relay: Relay, ssh_commands: SshCommands) -> None:
        self._tree: Tree = processes.tree
        self._ssh_commands = ssh_commands
        self._logins = Logins(instance_id, processes, relay, ssh_commands, self.apply_fault)
        self._host: str | None = None
        self._fault = ""
        self._listeners: dict[int, Listener] = {}
        #: When the SSH server of a first boot begins to answer, on the event loop's clock.
        self._answers_at = 0.0

    def prepare(self, host: str | None, first_boot: float = 0.0) -> None:
        """Set the address of the booting box, and the active SSH fault. `listen` opens the ports.

        They answer after `first_boot` seconds.
        """
        self._host = host
        self._answers_at = asyncio.get_running_loop().time() + first_boot
        self._fault = self._ssh_commands.port_fault()
        self._logins.up = True

    async def listen(self) -> None:
        """Open the ports that the tree's sshd configuration names, and close all others."""
        requested = sshd_config.ports(self._tree.root)
        for port in set(self._listeners) - set(requested):
            self._listeners.pop(port).close()
        for port in requested:
            if port not in self._listeners:
                await self._listen_on(port)

    async def apply_fault(self) -> None:
        """Apply the active SSH fault to the ports."""
        fault = self._ssh_commands.port_fault()
        if not self._logins.up or fault == self._fault:
            return
        self._close_listeners()
        self._fault = fault
        await self.listen()

    async def close(self) -> None:
        """Close the ports and break the connections."""
        self._logins.up = False
        await self._stop_accepting()
        for connection in list(self._logins.connections):
            connection.abort()
        self._close_listeners()

    def _close_listeners(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    async def _stop_accepting(self) -> None:
        """Stop accepting, and wait for accepted sockets: asyncio loses one whose server closes too soon."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners.values():
            for held in listener.sockets:
                loop.remove_reader(held.fileno())
        for _ in range(3):
            await asyncio.sleep(0)

    async def _listen_on(self, port: int) -> None:
        """Open one port; write the outcome to the console."""
        host = self._host
        if host is None:
            self._tree.log("sshd: no public address to listen on")
            return
        if self._fault == "refused":
            return
        try:
            self._listeners[port] = await self._open(host, port)
        except OSError as error:
            reason = error.strerror or error
            self._tree.log(f"sshd: cannot listen on {host} port {port}: {reason} ({_remedy(error, host)})")
        else:
            self._tree.log(f"sshd: listening on {host} port {port}")

    async def _open(self, host: str, port: int) -> Listener:
        """Return the listener of a port: an SSH server's, or under a fault one that does not answer."""
        if self._fault == UNREACHABLE:
            return UnreachablePort(host, port)
        if self._fault == "mute":
            return await asyncio.start_server(_send_nothing, host, port, reuse_address=True)
        wait = self._answers_at - asyncio.get_running_loop().time()
        if wait > 0:
            self._tree.log(f"sshd: port {port} answers in {wait:.0f} seconds: the disk is slow at its first use")
            return LatePort(host, port, wait, self._serve_on)
        return await self._serve(host=host, port=port)

    async def _serve_on(self, listening: socket.socket) -> asyncssh.SSHAcceptor:
        """Return the SSH server of a socket that listens already."""
        return await self._serve(sock=listening)

    async def _serve(self, **where: Any) -> asyncssh.SSHAcceptor:
        """Return an SSH server."""
        return await asyncssh.listen(
            **where,
            server_factory=self._server,
            server_host_keys=[self._presented_key()],
            encoding=None,
            line_editor=False,
            reuse_address=True,
            keepalive_interval=0,
            login_timeout=60,
            agent_forwarding=False,
        )

    def _server(self) -> LoginServer:
        """Return the SSH server of one new connection."""
        return LoginServer(self._logins)

    def _presented_key(self) -> asyncssh.SSHKey:
        """Return the box's host key, or under a fault another one."""
        if self._fault == "changed-key":
            return asyncssh.generate_private_key("ssh-ed25519")
        return self._host_key()

    def _host_key(self) -> asyncssh.SSHKey:
        """Return the box's host key, created at the first boot as on an EC2 instance."""
        path = self._tree.folder / "host_key"
        if not path.exists():
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
            path.chmod(0o600)
        return asyncssh.read_private_key(str(path))


async def _send_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a connection open until the client closes it."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            continue
    writer.close()


def _remedy(error: OSError, host: str) -> str:
    """Return a hint for a port that cannot be opened."""
    if isinstance(error, PermissionError):
        return "ports below 1024 need root: use another --ssh-port"
    if error.errno == errno.EADDRINUSE and sys.platform == "darwin":
        return how_to_add(host)
    return "is it in use?"
