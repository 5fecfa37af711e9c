"""The login ports of one box: which are open, and how they behave under an SSH fault."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sys

import asyncssh

from . import sshd_config
from .addresses import more
from .login import Logins, LoginServer
from .processes import Processes
from .relay import Relay
from .tree import Tree
from .visits import Visits


class LoginPorts:
    """The listeners of one box, and the connections that came by them."""

    def __init__(self, instance_id: str, processes: Processes, relay: Relay, visits: Visits) -> None:
        self._tree: Tree = processes.tree
        self._visits = visits
        self._logins = Logins(instance_id, processes, relay, visits, self.adapt)
        self._host: str | None = None
        self._manner = ""
        self._listeners: dict[int, asyncssh.SSHAcceptor | asyncio.Server] = {}

    def prepare(self, host: str | None) -> None:
        """Take the address of the box that boots, and the SSH fault in force. `listen` opens the ports."""
        self._host = host
        self._manner = self._visits.manner()
        self._logins.up = True

    async def listen(self) -> None:
        """Open the login ports that the tree's sshd configuration names, and close those it does not."""
        requested = sshd_config.ports(self._tree.root)
        for port in set(self._listeners) - set(requested):
            self._listeners.pop(port).close()
        for port in requested:
            if port not in self._listeners:
                await self._listen_on(port)

    async def adapt(self) -> None:
        """Have the login ports behave as the SSH fault in force says."""
        manner = self._visits.manner()
        if not self._logins.up or manner == self._manner:
            return
        self._close_listeners()
        self._manner = manner
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
        """Let what was accepted become a connection: asyncio forgets a socket whose server closes in between."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners.values():
            for held in listener.sockets:
                loop.remove_reader(held.fileno())
        for _ in range(3):
            await asyncio.sleep(0)

    async def _listen_on(self, port: int) -> None:
        host = self._host
        if host is None:
            self._tree.say("no public address: no login from outside")
            return
        if self._manner == "refused":
            return
        try:
            self._listeners[port] = await self._open(host, port)
        except OSError as error:
            reason = error.strerror or error
            self._tree.say(f"sshd: cannot listen on {host} port {port}: {reason} ({_remedy(error, host)})")
        else:
            self._tree.say(f"sshd: listening on {host} port {port}")

    async def _open(self, host: str, port: int) -> asyncssh.SSHAcceptor | asyncio.Server:
        """Return the listener of a login port: sshd's, or under a fault one that accepts and says nothing."""
        if self._manner == "mute":
            return await asyncio.start_server(_say_nothing, host, port, reuse_address=True)
        return await asyncssh.listen(
            host,
            port,
            server_factory=self._server,
            server_host_keys=[self._shown_key()],
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

    def _shown_key(self) -> asyncssh.SSHKey:
        """Return the box's host key, or under a fault another one."""
        if self._manner == "changed-key":
            return asyncssh.generate_private_key("ssh-ed25519")
        return self._host_key()

    def _host_key(self) -> asyncssh.SSHKey:
        """Return the box's host key. It is created at the first boot, as an image does it."""
        path = self._tree.folder / "host_key"
        if not path.exists():
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
            path.chmod(0o600)
        return asyncssh.read_private_key(str(path))


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hold a connection open until the client goes away."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            continue
    writer.close()


def _remedy(error: OSError, host: str) -> str:
    """Return what helps against a port that cannot be listened on."""
    if isinstance(error, PermissionError):
        return "ports below 1024 need root: use another --ssh-port"
    if error.errno == errno.EADDRINUSE and sys.platform == "darwin":
        return more(host)
    return "is it in use?"
