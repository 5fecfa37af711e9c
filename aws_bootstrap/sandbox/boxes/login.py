"""The SSH server of a box: authentication, and the sessions of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from asyncssh.stream import SSHServerStreamSession, SSHTCPStreamSession

from .files import BoxFiles
from .processes import Processes
from .relay import Relay
from .ssh_commands import SshCommands

CHUNK = 65536
FLOOD = 1 << 20
NOISE = (b"noise from the box's shell\n" * (CHUNK // 27 + 1))[:CHUNK]
SSH_FAILED = 255
_SIGNALS = {
    "HUP": signal.SIGHUP,
    "INT": signal.SIGINT,
    "KILL": signal.SIGKILL,
    "QUIT": signal.SIGQUIT,
    "TERM": signal.SIGTERM,
}
_EXEC = 'cd "$HOME" 2>/dev/null; exec "$SHELL" -c "$1"'
_LOGIN = '[ -f "$HOME/.hushlogin" ] || cat "$SANDBOX_ROOT/etc/motd"; cd "$HOME" 2>/dev/null; exec -a -bash "$SHELL"'
# Start a session with this terminal as its controlling one, then execute the shell.
_ON_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass
class Logins:
    """The shared state of one box's connections."""

    instance_id: str
    processes: Processes
    relay: Relay
    ssh_commands: SshCommands
    #: Awaited after each command: it may have been the last one before an SSH fault becomes active.
    apply_fault: Callable[[], Awaitable[None]]
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    #: Whether the box runs; a halting box accepts no new connections.
    up: bool = False


class LoginServer(asyncssh.SSHServer):
    """One connection. Accepts only the login user, with a key of authorized_keys."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins
        self._peer = ("127.0.0.1", 0)
        self._sessions: list[Session] = []
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Register the connection; abort it if the box has halted in between."""
        self._peer = conn.get_extra_info("peername")[:2]
        self._connection = conn
        self._logins.connections.add(conn)
        if not self._logins.up:
            asyncio.get_running_loop().call_soon(conn.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the terminals of a disconnected client."""
        if self._connection:
            self._logins.connections.discard(self._connection)
        for session in self._sessions:
            session.hang_up()

    def begin_auth(self, username: str) -> bool:
        """Require authentication of every user."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Allow public keys."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Return whether authorized_keys has the key.

        The file is read at each login, as sshd does: a key that is added in the box works at once.
        """
        if username != self._logins.processes.tree.user or self._logins.ssh_commands.rejects_key():
            return False
        try:
            authorized = (self._logins.processes.tree.home / ".ssh/authorized_keys").read_text()
        except OSError:
            return False
        return key.public_data in {other.public_data for other in _keys(authorized)}

    def session_requested(self) -> SSHServerStreamSession:
        """Return the session of a new channel: a command, a shell or SFTP."""
        session = Session(self._logins, self._peer)
        self._sessions.append(session)
        return SSHServerStreamSession(session.run, self._files, sftp_version=3)

    def _files(self, channel: Any) -> BoxFiles:
        return BoxFiles(channel, self._logins.processes)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int):
        return self._forward(dest_host, dest_port)

    async def _forward(self, host: str, port: int):
        """Return the session that carries one forwarded connection (`ssh -L`)."""
        try:
            connection = await self._logins.relay.connect(host, port)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
        inner_reader, inner_writer = await asyncio.open_connection(sock=connection)

        async def copy_both(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
            writer.close()

        return SSHTCPStreamSession(copy_both)


def _keys(text: str) -> list[asyncssh.SSHKey]:
    """Return the public keys of an authorized_keys file; other lines are ignored."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(asyncssh.KeyImportError):
            if line.strip() and not line.startswith("#"):
                found.append(asyncssh.import_public_key(line.strip()))
    return found


async def _copy(source, sink) -> None:
    """Copy bytes until the source ends, then send EOF to the sink."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


class Session:
    """One command, or one login shell, with or without a terminal."""

    def __init__(self, logins: Logins, peer: tuple[str, int]) -> None:
        self._logins = logins
        self._peer = peer
        self._terminal: int | None = None
        self._screen: asyncio.BaseTransport | None = None

    async def run(self, stdin, stdout, stderr) -> None:
        """Start the process and copy its input and output until it ends."""
        channel = stdin.channel
        fault = self._logins.ssh_commands.begin(self._logins.instance_id, channel.get_command() or "")
        if await self._apply_fault(fault, channel, stdin, stderr):
            return
        try:
            process = await self._start(channel)
        except OSError as error:
            stderr.write(f"the box cannot start a process: {error}\n".encode())
            channel.exit(SSH_FAILED)
            return
        with self._logins.processes.holding(process):
            input_task = asyncio.ensure_future(self._copy_input(stdin, process))
            try:
                await self._copy_output(process, stdout, stderr)
            finally:
                input_task.cancel()
                self.hang_up()
        await self._logins.apply_fault()
        channel.exit(_exit_status(process.returncode or 0))

    async def _apply_fault(self, fault: str | None, channel, stdin, stderr) -> bool:
        """Apply an SSH fault; return whether it replaces the command."""
        if fault == "flood":
            for _ in range(FLOOD // CHUNK):
                stderr.write(NOISE)
                await stderr.drain()
        elif fault == "dropped":
            channel.get_connection().abort()
            return True
        elif fault == "hanging":
            with contextlib.suppress(asyncssh.Error, OSError):
                while await stdin.read(CHUNK):
                    continue
                await channel.wait_closed()
            return True
        return False

    async def _copy_output(self, process: asyncio.subprocess.Process, stdout, stderr) -> None:
        """Copy output until it ends, then wait for the process."""
        if self._terminal is None:
            await asyncio.gather(_copy_to_client(process.stdout, stdout), _copy_to_client(process.stderr, stderr))
        else:
            await _copy_to_client(await self._open_screen(self._terminal), stdout)
        await process.wait()

    async def _start(self, channel) -> asyncio.subprocess.Process:
        """Return the started process of the session, with pipes or a terminal."""
        command, term = channel.get_command(), channel.get_terminal_type()
        shell = ["/bin/bash", "-c", _LOGIN, "sshd", ""]
        if command is not None:
            shell = ["/bin/bash", "-c", _EXEC, "sshd", command]
        environment = self._environment(channel, term)
        if term is None:
            pipe = asyncio.subprocess.PIPE
            return await asyncio.create_subprocess_exec(
                *self._logins.processes.command(*shell),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=environment,
                start_new_session=True,
            )
        self._terminal, inner = self._logins.processes.open_terminal()
        self._resize(channel.get_terminal_size())
        try:
            return await asyncio.create_subprocess_exec(
                *self._logins.processes.command(environment["SANDBOX_PYTHON"], "-ISc", _ON_TERMINAL, *shell),
                stdin=inner,
                stdout=inner,
                stderr=inner,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(inner)

    def _environment(self, channel, term: str | None) -> dict[str, str]:
        """Return the box's environment, sshd's variables, and the client's LANG and LC_*, as Ubuntu's AcceptEnv."""
        host, port = self._peer
        own, own_port = channel.get_extra_info("sockname")[:2]
        environment = self._logins.processes.tree.environment()
        for name, value in channel.get_environment().items():
            if name == "LANG" or name.startswith("LC_"):
                environment[name] = value
        environment["SSH_CLIENT"] = f"{host} {port} {own_port}"
        environment["SSH_CONNECTION"] = f"{host} {port} {own} {own_port}"
        if term:
            environment["TERM"] = term
        return environment

    async def _copy_input(self, stdin, process: asyncio.subprocess.Process) -> None:
        """Copy the client's input to the process, and pass on its signals and window sizes."""
        with contextlib.suppress(OSError):
            while True:
                try:
                    data = await stdin.read(CHUNK)
                except asyncssh.TerminalSizeChanged as change:
                    self._resize((change.width, change.height, change.pixwidth, change.pixheight))
                    continue
                except asyncssh.SignalReceived as sent:
                    _send(process, _SIGNALS.get(sent.signal, signal.SIGTERM))
                    continue
                except asyncssh.Error:
                    continue
                if not data:
                    break
                await self._write(process, data)
            self._end_input(process)

    async def _write(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        """Write input to the terminal or the pipe."""
        if self._terminal is not None:
            await asyncio.to_thread(os.write, self._terminal, data)
        elif process.stdin:
            process.stdin.write(data)
            await process.stdin.drain()

    def _end_input(self, process: asyncio.subprocess.Process) -> None:
        """Close the input pipe. A terminal has none: its end is a character (Ctrl-D)."""
        if self._terminal is None and process.stdin:
            process.stdin.close()

    def _resize(self, size: tuple[int, int, int, int]) -> None:
        """Set the size of the terminal, if there is one."""
        if self._terminal is not None:
            columns, rows, width, height = size
            fcntl.ioctl(
                self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows or 24, columns or 80, width, height)
            )

    async def _open_screen(self, terminal: int) -> asyncio.StreamReader:
        """Return the terminal's output as a stream."""
        reader = asyncio.StreamReader()
        screen = os.fdopen(os.dup(terminal), "rb", 0)
        protocol = asyncio.StreamReaderProtocol(reader)
        self._screen, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, screen)
        return reader

    def hang_up(self) -> None:
        """Close the terminal, if there is one: the kernel sends SIGHUP to its session."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None


def _exit_status(status: int) -> int:
    """Return the exit status that a shell reports: 128 and the number of the signal that ended the process."""
    if status < 0:
        return 128 - status
    return status


def _send(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to the process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def _copy_to_client(source, sink) -> None:
    """Copy output to the client, at the client's pace. A terminal ends with an error at its last process's exit."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
